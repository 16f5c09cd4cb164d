"""Raw limits: the least that any program must do, with the same libraries, in a process of its own."""
