"""The index asked live: on this machine, or held by servers that a client asks all together."""
