// Package auth says who may do what: it authenticates callers, decides by
// policy, and gives a service its own tokens.
package auth
