"""Events as the record: what the streams say beside what the tables keep, and each mended by the other."""
