"""The only SQL with order words in it. Every function works on the caller's transaction."""
