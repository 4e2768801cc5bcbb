// Package trial tries a service of an example as its reader does: it runs the
// commands that the example says to try, and stops it.
package trial

import (
	"context"
	"net"
	"os/exec"
	"strings"
	"testing"
)

// Run runs a service at an address where nothing listens, does with curl what
// about says to try, and ends the service's context. want are what the answers
// contain, in the order of the commands; the service's error must be nil.
func Run(t *testing.T, run func(ctx context.Context, addr string) error, about func(addr string) string, want ...string) {
	t.Helper()
	addr := Free(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- run(ctx, addr) }()
	text := about(addr)
	if !strings.Contains(text, addr) || !strings.Contains(text, "Ctrl-C") {
		t.Errorf("does not say where it is and how it ends:\n%s", text)
	}
	Curl(t, text, want...)
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// Free returns an address of this machine where nothing listens.
func Free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// Curl runs the lines of text that are commands of curl, each of which must
// succeed within a minute and answer with what contains its want. It waits for a
// service that does not listen yet.
func Curl(t *testing.T, text string, want ...string) {
	t.Helper()
	var commands []string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "curl ") {
			commands = append(commands, line)
		}
	}
	if len(commands) != len(want) {
		t.Fatalf("got %d commands to try, want %d, in\n%s", len(commands), len(want), text)
	}
	for i, command := range commands {
		patient := strings.Replace(command, "curl ", "curl --fail --silent --show-error --max-time 60 --retry 100 --retry-delay 1 --retry-connrefused --retry-max-time 60 ", 1)
		out, err := exec.CommandContext(t.Context(), "sh", "-c", patient).CombinedOutput()
		if err != nil || !strings.Contains(string(out), want[i]) {
			t.Errorf("%s: %v, got\n%s\nwant %q in it", command, err, out, want[i])
		}
	}
}
