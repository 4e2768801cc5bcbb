// Package trace measures go-platform's trace against other libraries in one run.
package trace
