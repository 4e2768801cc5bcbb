// Package docs keeps the documentation true. Its test compares every block of Go in README.md,
// CONTRIBUTING.md and docs/ with compiled source. A block is preceded by a line that says where
// it comes from,
//
//	<!-- snippet: kv/example_test.go#cas -->
//
// and the source marks the region, which is shown without its indentation:
//
//	// snippet: cas
//	…
//	// end snippet
//
// Without a region the whole file is shown. The blocks are written again from the source by
//
//	go test ./internal/docs -update
//
// What is not meant to compile, such as a sketch of an interface, is a block of text, not of Go.
// Relative links must lead somewhere too.
package docs
