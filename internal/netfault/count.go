package netfault

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
)

// A requestCounter counts the HTTP/1 requests in what a client sends, or chunks where that is
// something else. It follows the framing of bodies, since they may hold anything.
type requestCounter struct {
	next func(*requestCounter, []byte) ([]byte, int64) // what the next bytes are; nil: not known yet
	line []byte                                        // an unfinished head or line
	left int64                                         // of a body, or of a chunk of one
}

var method = regexp.MustCompile(`^(?:GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) (?:/|$)`)

// count takes the next bytes of the stream and returns how many requests began in them.
func (c *requestCounter) count(b []byte) (n int64) {
	if c.next == nil {
		c.next = (*requestCounter).other
		if method.Match(b) {
			c.next = (*requestCounter).head
		}
	}
	for len(b) > 0 {
		var more int64
		b, more = c.next(c, b)
		n += more
	}
	return n
}

// other is a stream of another protocol.
func (c *requestCounter) other([]byte) ([]byte, int64) { return nil, 1 }

// head collects a request's head and finds out what follows it.
func (c *requestCounter) head(b []byte) ([]byte, int64) {
	old := len(c.line)
	c.line = append(c.line, b...)
	const end = "\r\n\r\n"
	i := bytes.Index(c.line, []byte(end))
	if i < 0 {
		return nil, 0
	}
	i += len(end)
	rest := b[i-old:]
	r, err := http.ReadRequest(bufio.NewReader(io.LimitReader(bytes.NewReader(c.line), int64(i))))
	c.line = c.line[:0]
	switch {
	case err != nil, r.Header.Get("Upgrade") != "", r.Method == http.MethodConnect:
		c.next = (*requestCounter).other
	case r.ContentLength > 0:
		c.next, c.left = (*requestCounter).body, r.ContentLength
	case r.ContentLength < 0:
		c.next = (*requestCounter).chunkSize
	}
	return rest, 1
}

// body skips the rest of a body of known length.
func (c *requestCounter) body(b []byte) ([]byte, int64) {
	b = c.skip(b)
	if c.left == 0 {
		c.next = (*requestCounter).head
	}
	return b, 0
}

// chunkSize reads the line before a chunk.
func (c *requestCounter) chunkSize(b []byte) ([]byte, int64) {
	line, b, ok := c.readLine(b)
	if !ok {
		return nil, 0
	}
	size, _, _ := strings.Cut(line, ";")
	n, err := strconv.ParseInt(strings.TrimSpace(size), 16, 63)
	switch {
	case err != nil:
		c.next = (*requestCounter).other
	case n == 0:
		c.next = (*requestCounter).trailer
	default:
		c.next, c.left = (*requestCounter).chunk, n+int64(len("\r\n"))
	}
	return b, 0
}

func (c *requestCounter) chunk(b []byte) ([]byte, int64) {
	b = c.skip(b)
	if c.left == 0 {
		c.next = (*requestCounter).chunkSize
	}
	return b, 0
}

// trailer reads the lines after the last chunk, up to an empty one.
func (c *requestCounter) trailer(b []byte) ([]byte, int64) {
	line, b, ok := c.readLine(b)
	if ok && line == "" {
		c.next = (*requestCounter).head
	}
	return b, 0
}

func (c *requestCounter) skip(b []byte) []byte {
	n := min(c.left, int64(len(b)))
	c.left -= n
	return b[n:]
}

// readLine returns a line without its end once all of it has come.
func (c *requestCounter) readLine(b []byte) (line string, rest []byte, ok bool) {
	part, rest, ok := bytes.Cut(b, []byte("\n"))
	c.line = append(c.line, part...)
	if !ok {
		return "", nil, false
	}
	line = strings.TrimSuffix(string(c.line), "\r")
	c.line = c.line[:0]
	return line, rest, true
}
