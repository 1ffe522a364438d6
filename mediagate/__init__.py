"""What the gateway, the streams worker and the sinks worker share: no Faust, no aiohttp."""

__version__ = "0.1.0"
