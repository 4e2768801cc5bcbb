package servertest

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Lines returns the complete lines of a file in the server's folder; none if there is no file.
func (s *Server) Lines(name string) []string {
	b, err := os.ReadFile(filepath.Join(s.dir, name))
	if err != nil {
		return nil
	}
	b = b[:bytes.LastIndexByte(b, '\n')+1]
	if len(b) == 0 {
		return nil
	}
	return strings.Split(string(b[:len(b)-1]), "\n")
}

// Await waits up to a minute until done accepts the lines of a file and returns them; then it
// fails the test.
func (s *Server) Await(t testing.TB, name string, done func(lines []string) bool) []string {
	t.Helper()
	var lines []string
	if !poll(time.Minute, func() bool {
		lines = s.Lines(name)
		return done(lines)
	}) {
		t.Fatalf("%s: %d lines of %s are not what was waited for:\n%s\nlog:\n%s", s.name, len(lines), name, strings.Join(lines, "\n"), s.Log())
	}
	return lines
}
