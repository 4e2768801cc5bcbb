// Package weight keeps the packages light. Its test lists every public package in weight.txt with
// the number of third-party packages that a program links by importing it, and the packages of
// ours that come along, so that a growth needs an edit there and an explanation in the commit:
//
//	go test ./internal/weight -update
package weight
