"""Whether stressd notices: every lie that a store can tell, told by a good one, in a run of the daemon for each."""
