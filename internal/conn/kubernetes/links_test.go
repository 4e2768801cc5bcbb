package kubernetes

import (
	"errors"
	"io"
	"net"
	"testing"

	"github.com/micro/go-platform/internal/fault"
)

// Close closes the connections that the transport does not take for idle, and
// those that are made for calls that were given up.
func TestLinksCloseWhatIsOpenAndWhatComesLater(t *testing.T) {
	var l links
	ours, theirs := net.Pipe()
	done, other := net.Pipe()
	late, lateOther := net.Pipe()
	defer func() { theirs.Close(); other.Close(); lateOther.Close() }()
	if _, err := l.add(ours); err != nil {
		t.Fatal(err)
	}
	closed, err := l.add(done)
	if err != nil {
		t.Fatal(err)
	}
	if err := closed.Close(); err != nil || len(l.all) != 1 {
		t.Errorf("one of two was closed: %v, %d are left", err, len(l.all))
	}
	l.close()
	if _, err := l.add(late); !errors.Is(err, fault.Closed) && !errors.Is(err, fault.Unavailable) {
		t.Errorf("a late connection: %v, want closed", err)
	}
	for what, c := range map[string]net.Conn{"an open one": theirs, "a late one": lateOther} {
		if _, err := c.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("%s: %v, want it closed", what, err)
		}
	}
}
