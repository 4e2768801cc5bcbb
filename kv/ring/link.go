package ring

import (
	"bufio"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
)

const (
	protocol      = "go-platform-ring/1"
	nonceHeader   = "Ring-Nonce"
	fromHeader    = "Ring-From"
	proofHeader   = "Ring-Proof"
	nonceSize     = 32
	shakeWithin   = 3 * time.Second
	errorBodySize = 256
)

// proof shows that its sender knows the key, bound to who it is, to both
// sides' nonces and both sides' names, so that it serves nowhere else.
func proof(key []byte, role, service, from, to, nonceA, nonceB string) []byte {
	m := hmac.New(sha256.New, key)
	for _, s := range []string{protocol, role, service, from, to, nonceA, nonceB} {
		fmt.Fprintf(m, "%d:%s", len(s), s)
	}
	return m.Sum(nil)
}

func nonce() string {
	b := make([]byte, nonceSize)
	rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

// link keeps one connection to a peer, for this node's requests.
type link struct {
	n       *Node
	id      string
	address string
	stop    context.CancelFunc
	conn    atomic.Pointer[conn]
	suspect atomic.Bool  // out of reach for long enough to be left out
	heard   atomic.Int64 // when the peer last answered, Unix milliseconds
}

// run connects, pings, and connects again, until ctx ends.
func (l *link) run(ctx context.Context) {
	wait := backoff.Policy{Min: 20 * time.Millisecond, Max: 500 * time.Millisecond}
	lost := time.Now()
	for tries := 0; ctx.Err() == nil; tries++ {
		c, r, err := l.connect(ctx, lost)
		if err == nil {
			tries = 0
			lost = l.serve(ctx, c, r)
		} else if ctx.Err() == nil {
			l.n.o.logger.Debug("kv/ring: cannot connect", "peer", l.id, "error", err)
		}
		l.look(ctx, lost)
		if backoff.Sleep(ctx, min(wait.Wait(tries), l.n.o.detection/4)) != nil {
			return
		}
	}
}

// connect dials a peer that is out of reach since lost. While that takes long it looks
// whether others reach it.
func (l *link) connect(ctx context.Context, lost time.Time) (net.Conn, *bufio.Reader, error) {
	dialing, done := context.WithCancel(ctx)
	var looking sync.WaitGroup
	looking.Go(func() {
		for wait := time.Until(lost.Add(l.n.o.detection)); backoff.Sleep(dialing, max(wait, l.n.o.detection/2)) == nil; wait = 0 {
			l.look(dialing, lost)
		}
	})
	c, r, err := l.dial(ctx)
	done()
	looking.Wait()
	return c, r, err
}

// look leaves a peer out that has been out of reach for long enough, of this node and of
// all that it reaches, and takes back one that others reach again: they go by it.
func (l *link) look(ctx context.Context, lost time.Time) {
	if now := time.Now(); now.Sub(lost) < l.n.o.detection || !l.n.listened(now) {
		return
	}
	gone := !l.reachedByOthers(ctx)
	if ctx.Err() == nil && l.suspect.Swap(gone) != gone {
		l.n.rebuild()
	}
}

// serve uses a connection until it fails, and returns when the peer was last
// heard of.
func (l *link) serve(ctx context.Context, c net.Conn, r *bufio.Reader) (heard time.Time) {
	live := newConn(newWire(c))
	done := make(chan struct{}, 2)
	go func() { live.flush(); done <- struct{}{} }()
	go func() { live.receive(r); done <- struct{}{} }()
	l.conn.Store(live)
	l.n.connected(l.id, ">")
	if l.suspect.Swap(false) {
		l.n.rebuild()
	}
	heard = l.ping(ctx, live)
	l.conn.Store(nil)
	live.fail()
	<-done
	<-done
	return heard
}

// ping returns when the peer no longer answers, and when it last did.
func (l *link) ping(ctx context.Context, c *conn) (heard time.Time) {
	heard = time.Now()
	l.heard.Store(heard.UnixMilli())
	every := time.NewTicker(l.n.o.detection / 4)
	defer every.Stop()
	for {
		deadline := heard.Add(l.n.o.detection)
		within, cancel := context.WithDeadline(ctx, deadline)
		_, err := c.call(within, opPing, time.Time{}, func(b []byte) []byte { return b })
		cancel()
		switch late := time.Since(deadline); {
		case err == nil:
			heard = time.Now()
			l.heard.Store(heard.UnixMilli())
		case ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) && late > l.n.o.detection/4:
			heard = time.Now() // this process was not running: the peer may well have answered
			continue
		default:
			return heard
		}
		select {
		case <-every.C:
		case <-c.dead:
			return heard
		case <-ctx.Done():
			return heard
		}
	}
}

// dial connects and shows who we are to each other.
func (l *link) dial(ctx context.Context) (net.Conn, *bufio.Reader, error) {
	ctx, cancel := context.WithTimeout(ctx, shakeWithin)
	defer cancel()
	var c net.Conn
	err := fault.Guard(func() (err error) { c, err = l.n.o.dial(ctx, "tcp", l.address); return err })
	if err == nil && fronts.Nil(c) {
		err = errors.New("no connection")
	}
	if err != nil {
		return nil, nil, err
	}
	stop := context.AfterFunc(ctx, func() { c.Close() })
	if l.n.o.tls != nil {
		conf := l.n.o.tls.Clone()
		conf.NextProtos = []string{"http/1.1"} // HTTP/2 has no Upgrade
		if conf.ServerName == "" {
			conf.ServerName, _, _ = net.SplitHostPort(l.address)
		}
		c = tls.Client(c, conf)
	}
	r, err := l.shake(ctx, c)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		c.Close()
		return nil, nil, err
	}
	return c, r, nil
}

func (l *link) shake(ctx context.Context, c net.Conn) (*bufio.Reader, error) {
	mine := nonce()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+l.address+path, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", protocol)
	req.Header.Set(fromHeader, l.n.self)
	req.Header.Set(nonceHeader, mine)
	if err := req.Write(c); err != nil {
		return nil, err
	}
	r := bufio.NewReaderSize(c, bufferSize)
	resp, err := http.ReadResponse(r, req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, errorBodySize))
		return nil, fmt.Errorf("the peer answers %s: %q", resp.Status, text)
	}
	theirs := resp.Header.Get(nonceHeader)
	got, _ := hex.DecodeString(resp.Header.Get(proofHeader))
	if len(theirs) != 2*nonceSize || !hmac.Equal(got, proof(l.n.o.key, "server", l.n.service, l.id, l.n.self, theirs, mine)) {
		return nil, errors.New("the peer does not know the key, or is another than expected")
	}
	_, err = c.Write(proof(l.n.o.key, "client", l.n.service, l.n.self, l.id, mine, theirs))
	return r, err
}
