// Package interop holds what the tests of Go Platform need and its users must not inherit: tests
// against software that nobody here wrote, and below it the modules that build real servers.
package interop
