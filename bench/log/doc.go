// Package log measures go-platform's log against other libraries in one run.
package log
