package fluentd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/log"
)

// helo is a server's greeting.
func helo(nonce, auth string) []byte {
	b := appendString(appendMap(appendString(appendArray(nil, 2), "HELO"), 2), "nonce")
	return appendString(appendString(appendString(b, nonce), "auth"), auth)
}

// The handshake goes on only with a server that says what the protocol wants and knows
// the key, and shows the password only to one that asks for it.
func TestTheHandshake(t *testing.T) {
	pong := func(known bool, why, server, proof string) []byte {
		b := appendBool(appendString(appendArray(nil, 5), "PONG"), known)
		return appendString(appendString(appendString(b, why), server), proof)
	}
	ask := helo("nonce", "salt")
	for name, c := range map[string]struct {
		helo []byte
		pong func(salt string) []byte
		want string // in the error; "": none
		user string // that the server is told
	}{
		"well":            {ask, func(salt string) []byte { return pong(true, "", "srv", digest(salt, "srv", "nonce", "key")) }, "", "alice"},
		"without a user":  {helo("nonce", ""), func(salt string) []byte { return pong(true, "", "srv", digest(salt, "srv", "nonce", "key")) }, "", ""},
		"another key":     {ask, func(salt string) []byte { return pong(true, "", "srv", digest(salt, "srv", "nonce", "other")) }, "does not know the shared key", "alice"},
		"no proof":        {ask, func(string) []byte { return pong(true, "", "srv", "") }, "does not know the shared key", "alice"},
		"refused":         {ask, func(salt string) []byte { return pong(false, "bad user", "srv", digest(salt, "srv", "nonce", "key")) }, "refused: bad user", "alice"},
		"a short pong":    {ask, func(string) []byte { return appendString(appendArray(nil, 1), "PONG") }, "no PONG", "alice"},
		"another pong":    {ask, func(string) []byte { return []byte{1} }, "no PONG", "alice"},
		"ping for pong":   {ask, func(string) []byte { return []byte(strings.Replace(string(pong(true, "", "", "")), "PONG", "PING", 1)) }, "no PONG", "alice"},
		"hello":           {[]byte(strings.Replace(string(ask), "HELO", "EHLO", 1)), nil, "no HELO", ""},
		"a short helo":    {appendString(appendArray(nil, 1), "HELO"), nil, "no HELO", ""},
		"no array":        {[]byte{1}, nil, "no HELO", ""},
		"no message":      {[]byte{0xc1}, nil, "not understood", ""},
		"ends":            {ask[:5], nil, "EOF", ""},
		"ends after that": {ask, func(string) []byte { return nil }, "EOF", "alice"},
	} {
		client, server := net.Pipe()
		user := make(chan string, 1)
		go func() {
			defer server.Close()
			said := ""
			defer func() { user <- said }()
			_, _ = server.Write(c.helo)
			if c.pong == nil {
				return
			}
			v, err := read(t.Context(), server)
			ping, _ := v.([]any)
			if err != nil || len(ping) != 6 || ping[3] != digest(ping[2].(string), ping[1].(string), "nonce", "key") {
				t.Errorf("%s: PING %v, %v", name, v, err)
				return
			}
			said = ping[4].(string)
			if said != "" && ping[5] != digest("salt", "alice", "secret") {
				t.Errorf("%s: a password of %v", name, ping[5])
			}
			_, _ = server.Write(c.pong(ping[2].(string)))
		}()
		d := &driver{options: options{key: "key", user: "alice", password: "secret"}}
		err := d.greet(t.Context(), client)
		client.Close()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if got := <-user; got != c.user {
			t.Errorf("%s: the server heard of %q, want %q", name, got, c.user)
		}
	}
}

// A batch is sent again under the same id until the server acknowledges that id: another
// one, or what is none, is no acknowledgement.
func TestWhatIsAcknowledged(t *testing.T) {
	ack := func(id string) []byte { return appendString(appendString(appendMap(nil, 1), "ack"), id) }
	for name, c := range map[string]struct {
		answer func(chunk string) []byte // to the first message
		well   bool
	}{
		"the id":         {ack, true},
		"another id":     {func(string) []byte { return ack("other") }, false},
		"no map":         {func(string) []byte { return []byte{1} }, false},
		"no id":          {func(string) []byte { return appendMap(nil, 0) }, false},
		"nonsense":       {func(string) []byte { return []byte{0xc1} }, false},
		"nothing more":   {func(string) []byte { return nil }, false},
		"too much of it": {func(string) []byte { return appendStringHead(nil, maxAnswer+1) }, false},
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		var chunks []string
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				for {
					v, err := read(context.Background(), conn)
					if err != nil {
						break
					}
					m := v.([]any)
					chunk := m[2].(map[string]any)["chunk"].(string)
					chunks = append(chunks, chunk)
					if m[0] != "tag" || m[2].(map[string]any)["size"] != int64(1) {
						t.Errorf("%s: message %v", name, m)
					}
					if len(chunks) > 1 {
						_, _ = conn.Write(ack(chunk))
						continue
					}
					answer := c.answer(chunk)
					_, _ = conn.Write(answer)
					if len(answer) == 0 {
						break
					}
				}
				conn.Close()
			}
		}()
		d := &driver{tag: "tag"}
		d.conn.Network, d.conn.Addr, d.conn.Reads = "tcp", l.Addr().String(), true
		b := log.Batch{Data: []byte("x"), Ends: []int{1}}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		n, err := d.Write(ctx, b)
		if (err == nil) != c.well || (n == 1) != c.well || err != nil && !errors.Is(err, fault.Unavailable) {
			t.Errorf("%s: %d, %v", name, n, err)
		}
		if !c.well {
			if n, err := d.Write(ctx, b); n != 1 || err != nil {
				t.Errorf("%s: again: %d, %v", name, n, err)
			}
		}
		cancel()
		if n, err := d.Write(t.Context(), b); n != 1 || err != nil {
			t.Errorf("%s: the next: %d, %v", name, n, err)
		}
		err = d.Close()
		l.Close()
		<-ended
		if same := len(chunks) > 1 && chunks[0] == chunks[1]; err != nil || same == c.well || chunks[len(chunks)-1] == chunks[0] {
			t.Errorf("%s: the ids were %q, closed: %v", name, chunks, err)
		}
	}
}

// An address that says tls, or WithTLS, is never written to in the clear.
func TestNothingGoesOutInTheClear(t *testing.T) {
	for scheme, want := range map[string]bool{"tls": true, "tcp": false} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		var first atomic.Value
		seen := make(chan struct{})
		go func() {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
			defer close(seen)
			b := make([]byte, 1)
			_, _ = io.ReadFull(conn, b)
			first.Store(b[0])
		}()
		lg, err := log.New(Backend(fmt.Sprintf("%s://%s", scheme, l.Addr()), "tag", WithoutAck()), log.WithLazy(), log.WithErrors(func(string, error) {}))
		if err != nil {
			t.Fatal(err)
		}
		lg.Logger("").Info("secret")
		<-seen
		l.Close()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_ = lg.Close(ctx)
		if got := first.Load() == byte(0x16); got != want { // a handshake of TLS
			t.Errorf("%s: the first byte is %v", scheme, first.Load())
		}
	}
}
