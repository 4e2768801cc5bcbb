package main

// tree returns all commands.
func tree() *command {
	return &command{subs: []*command{
		authNoun(), configNoun(), discoveryNoun(), eventNoun(), kvNoun(), monitorNoun(), routerNoun(), syncNoun(), traceNoun(),
		completionNoun(),
		versionVerb(),
	}}
}
