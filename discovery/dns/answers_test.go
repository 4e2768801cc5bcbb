package dns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/internal/fault"
	"golang.org/x/net/dns/dnsmessage"
)

// answering is a driver whose DNS server answers with records, of which each is
// "priority target port", and with a code.
func answering(t *testing.T, code dnsmessage.RCode, records ...string) *driver {
	t.Helper()
	d := &driver{domain: "example.org", name: func(service string) string { return service + ".example.org" }}
	d.resolver = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		here, there := net.Pipe() // a stream: a length goes before each message
		go func() {
			defer there.Close()
			buf := make([]byte, 1<<16)
			n, err := there.Read(buf)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(buf[2:n]) != nil {
				return
			}
			a := dnsmessage.Message{Header: dnsmessage.Header{ID: m.ID, Response: true, Authoritative: true, RCode: code}, Questions: m.Questions}
			for _, r := range records {
				srv := dnsmessage.SRVResource{Weight: 3}
				var target string
				_, err := fmt.Sscan(r, &srv.Priority, &target, &srv.Port)
				if err != nil {
					panic(err)
				}
				srv.Target = dnsmessage.MustNewName(target)
				a.Answers = append(a.Answers, dnsmessage.Resource{
					Header: dnsmessage.ResourceHeader{Name: m.Questions[0].Name, Class: dnsmessage.ClassINET}, Body: &srv,
				})
			}
			text, err := a.Pack()
			if err != nil {
				panic(err)
			}
			_, _ = there.Write(append([]byte{byte(len(text) >> 8), byte(len(text))}, text...))
		}()
		return here, nil
	}}
	return d
}

func TestWhichRecordsAreInstances(t *testing.T) {
	for _, c := range []struct {
		what    string
		code    dnsmessage.RCode
		records []string
		want    string
		err     error
	}{
		{"two", 0, []string{"1 a. 1", "1 b. 2"}, "a:1 b:2", nil},
		{"one twice", 0, []string{"1 a. 1", "1 a. 1"}, "a:1", nil},
		{"one host with two ports", 0, []string{"1 a. 1", "1 a. 2"}, "a:1 a:2", nil},
		{"two priorities", 0, []string{"1 a. 1", "2 b. 2"}, "a:1", nil},
		{"the lowest priority that there is", 0, []string{"65535 a. 1"}, "a:1", nil},
		{"a service that is decidedly not there", 0, []string{"1 . 1"}, "", nil},
		{"no port", 0, []string{"1 a. 0"}, "", nil},
		{"a bad name beside a good one", 0, []string{"1 a. 1", "1 b@d. 2"}, "a:1", nil},
		{"no such name", dnsmessage.RCodeNameError, nil, "", nil},
		{"a server that fails", dnsmessage.RCodeServerFailure, nil, "", fault.Unavailable},
		{"a server that refuses", dnsmessage.RCodeRefused, nil, "", fault.Unavailable},
	} {
		d := answering(t, c.code, c.records...)
		all, err := d.lookup(t.Context(), "s")
		var got []string
		for _, in := range all {
			got = append(got, in.Address)
			if in.ID != in.Address || in.Weight != 3 {
				t.Errorf("%s: %+v", c.what, in)
			}
		}
		// The resolver mixes records of one priority.
		if len(got) == 2 && got[0] > got[1] {
			got[0], got[1] = got[1], got[0]
		}
		if strings.Join(got, " ") != c.want || !errors.Is(err, c.err) || (err == nil) != (c.err == nil) {
			t.Errorf("%s: %q, %v, want %q, %v", c.what, got, err, c.want, c.err)
		}
		if len(c.records) == 0 {
			if err := d.Ping(t.Context()); !errors.Is(err, c.err) || (err == nil) != (c.err == nil) {
				t.Errorf("%s: Ping = %v, want %v", c.what, err, c.err)
			}
		}
	}
}

// The end of the caller's context is no outage, and ends a watch.
func TestAnEndedContextIsNoOutage(t *testing.T) {
	d := answering(t, dnsmessage.RCodeServerFailure)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.Ping(ctx); !errors.Is(err, context.Canceled) || errors.Is(err, fault.Unavailable) {
		t.Errorf("Ping = %v, want the end of the context", err)
	}
	d = answering(t, 0, "1 a. 1")
	d.poll = 1 << 40
	ctx, cancel = context.WithCancel(t.Context())
	n := 0
	err := d.Watch(ctx, "shop/s", func(u discovery.Update) {
		if len(u.Instances) != 1 || u.Fate("b") != discovery.Deregistered {
			t.Errorf("delivered %+v", u)
		}
		n++
		cancel()
	})
	if !errors.Is(err, context.Canceled) || n != 1 {
		t.Errorf("Watch = %v after %d updates, want the end of the context after one", err, n)
	}
}
