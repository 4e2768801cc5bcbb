package main

// tree returns all commands.
func tree() *command {
	return &command{subs: []*command{
		kvNoun(),
		completionNoun(),
		versionVerb(),
	}}
}
