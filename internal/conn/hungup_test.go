package conn_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"

	"github.com/micro/go-platform/internal/conn"
)

func TestAServerThatHangsUpMayExpectTLS(t *testing.T) {
	const begin = "gocql: unable to create session: unable to discover protocol version: " // all that gocql leaves is text
	reset := &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}
	for _, c := range []struct {
		err  error
		want bool
	}{
		{io.EOF, true},
		{fmt.Errorf("read: %w", io.ErrUnexpectedEOF), true},
		{errors.New("transport: error reading server preface: EOF"), true},
		{errors.New(begin + "EOF"), true},
		{errors.New(begin + reset.Error()), true},
		{errors.New(begin + "authentication failed: EOF"), false},
		{errors.New(begin + "connection refused"), false},
		{reset, false},
		{errors.New("EOF"), false},
	} {
		got := conn.HungUp(c.err)
		if !errors.Is(got, c.err) || strings.Contains(got.Error(), "does the port expect TLS?") != c.want {
			t.Errorf("%v: %v, want a word about TLS: %v", c.err, got, c.want)
		}
	}
	if err := conn.HungUp(nil); err != nil {
		t.Errorf("no error: %v", err)
	}
}
