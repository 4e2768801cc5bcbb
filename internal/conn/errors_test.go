package conn_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/conn"
)

// A context that ended before the network noticed has its own error.
func TestEnded(t *testing.T) {
	over, cancel := context.WithCancel(t.Context())
	cancel()
	late := deadline{t.Context(), time.Now()}
	early := deadline{t.Context(), time.Now().Add(time.Hour)}
	for _, c := range []struct {
		ctx  context.Context
		want error
	}{{t.Context(), nil}, {over, context.Canceled}, {late, context.DeadlineExceeded}, {early, nil}} {
		if got := conn.Ended(c.ctx); got != c.want {
			t.Errorf("%v, want %v", got, c.want)
		}
	}
}

// deadline has a deadline of which nobody is notified.
type deadline struct {
	context.Context
	at time.Time
}

func (d deadline) Deadline() (time.Time, bool) { return d.at, true }

func TestTimedOut(t *testing.T) {
	for err, want := range map[error]bool{
		os.ErrDeadlineExceeded:         true,
		context.DeadlineExceeded:       true,
		&net.DNSError{}:                false,
		&net.OpError{Err: io.EOF}:      false,
		errors.New("i/o timeout"):      false,
		&net.DNSError{IsTimeout: true}: true,
	} {
		if got := conn.TimedOut(fmt.Errorf("read: %w", err)); got != want {
			t.Errorf("%v: %t, want %t", err, got, want)
		}
	}
	if conn.TimedOut(nil) {
		t.Error("no error has timed out")
	}
}
