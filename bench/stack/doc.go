// Package stack measures what package wrapper adds to a request, with everything
// on: access log, traces of which one in a hundred is kept, metrics, monitor, a
// limit, a timeout, and on the client retries and breakers. Beside it stand the
// parts that are usual for that.
package stack
