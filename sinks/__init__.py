"""Decision, effect: objects, their records, and the news of both."""
