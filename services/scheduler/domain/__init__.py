"""The decisions of scheduler, without I/O: which slots are due, which were missed, whose turn it is."""
