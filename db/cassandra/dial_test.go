package cassandra

import (
	"errors"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestCloseWaitsUntilTheDriverHasLearned has a driver that has asked for a node and reads for a
// time.
func TestCloseWaitsUntilTheDriverHasLearned(t *testing.T) {
	const limit, calm = 5 * time.Second, 500 * time.Millisecond
	var reader sync.WaitGroup
	reads := func(d *dialer, span time.Duration) {
		reader.Go(func() {
			for start := time.Now(); time.Since(start) < span; d.reads.Add(1) {
				time.Sleep(205 * time.Millisecond) // never at the moment of a look
			}
		})
	}
	for name, c := range map[string]struct {
		before func(d *dialer)
		want   time.Duration
	}{
		"nothing":                   {func(*dialer) {}, 0},
		"a session is made":         {func(d *dialer) { d.Accept(nil); d.made() }, 0},
		"it works without learning": {func(d *dialer) { reads(d, time.Second) }, 0},
		"it has learned":            {func(d *dialer) { d.made(); d.Accept(nil) }, calm},
		"it learns":                 {func(d *dialer) { d.Accept(nil); reads(d, time.Second) }, 1030*time.Millisecond + calm},
		"it never ends":             {func(d *dialer) { d.Accept(nil); reads(d, time.Minute) }, limit},
		"half a minute ago":         {func(d *dialer) { d.Accept(nil); time.Sleep(30 * time.Second) }, calm},
		"longer ago":                {func(d *dialer) { d.Accept(nil); time.Sleep(30*time.Second + 1) }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				defer reader.Wait()
				d := newDialer(time.Minute)
				c.before(d)
				start := time.Now()
				d.settle(limit)
				if took := time.Since(start); took != c.want {
					t.Errorf("waited %v, want %v", took, c.want)
				}
			})
		})
	}
}

func TestNothingIsDialedAfterTheEnd(t *testing.T) {
	d := newDialer(time.Minute)
	if !d.Accept(nil) {
		t.Error("a node is refused before the end")
	}
	d.close()
	_, err := d.DialContext(t.Context(), "tcp", "127.0.0.1:1")
	if !errors.Is(err, net.ErrClosed) || d.Accept(nil) {
		t.Errorf("after the end: %v, want %v, and no node is accepted", err, net.ErrClosed)
	}
}
