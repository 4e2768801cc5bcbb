package trace

// Searcher is what package trace/driver has under the same name.
type Searcher = searcher
