package netfault

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// A link is one connection through the proxy.
type link struct {
	proxy  *Proxy
	client *net.TCPConn
	lossy  atomic.Bool // bytes were dropped

	once sync.Once
	done chan struct{} // closed by abort

	mu     sync.Mutex
	server *net.TCPConn
}

// run forwards until both sides have closed or the link is aborted.
func (l *link) run() {
	if !l.wait(Requests) {
		return
	}
	c, err := net.DialTimeout("tcp", l.proxy.target, 10*time.Second)
	if err != nil {
		l.abort()
		return
	}
	server := c.(*net.TCPConn)
	l.mu.Lock()
	l.server = server
	l.mu.Unlock()
	select {
	case <-l.done:
		reset(server)
		return
	default:
	}
	var wg sync.WaitGroup
	wg.Go(func() { l.forward(Requests, l.client, server) })
	wg.Go(func() { l.forward(Replies, server, l.client) })
	wg.Wait()
	l.client.Close()
	server.Close()
}

// abort resets both sides.
func (l *link) abort() {
	l.once.Do(func() {
		close(l.done)
		reset(l.client)
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.server != nil {
			reset(l.server)
		}
	})
}

// reset closes c with RST rather than FIN.
func reset(c *net.TCPConn) {
	_ = c.SetLinger(0)
	c.Close()
}

// chunk is bytes on their way.
type chunk struct {
	bytes []byte
	due   time.Time
}

// forward moves bytes one way. Reading and writing are apart so that a delay costs time once,
// not once a chunk.
func (l *link) forward(d Direction, from, to *net.TCPConn) {
	way := make(chan chunk, 64)
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(way)
		l.read(d, from, way)
	})
	l.write(d, to, way)
	wg.Wait()
}

func (l *link) read(d Direction, from *net.TCPConn, way chan<- chunk) {
	var http requestCounter
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if d == Requests {
				l.proxy.counts.requests.Add(http.count(buf[:n]))
			}
			rules, _ := l.proxy.now()
			select {
			case way <- chunk{append([]byte(nil), buf[:n]...), rules.due()}:
			case <-l.done:
				return
			}
		}
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			l.abort() // a reset travels as a reset
			return
		}
	}
}

func (l *link) write(d Direction, to *net.TCPConn, way <-chan chunk) {
	for c := range way {
		if !l.sleep(time.Until(c.due)) || !l.wait(d) {
			break
		}
		rules, _ := l.proxy.now()
		if rules.dropped&d != 0 {
			l.lossy.Store(true)
			continue
		}
		if d == Replies && l.proxy.takeCut() {
			l.abort()
			break
		}
		if !l.pass(d, to, c.bytes, rules.rate) {
			break
		}
	}
	for range way { // until the reader has noticed
	}
	// The end of the stream is subject to the same faults as its bytes.
	if l.wait(d) && l.undropped(d) {
		_ = to.CloseWrite()
	}
}

// pass writes bytes at no more than rate a second.
func (l *link) pass(d Direction, to *net.TCPConn, bytes []byte, rate int) bool {
	for len(bytes) > 0 {
		part := bytes
		if rate > 0 {
			part = bytes[:min(len(bytes), max(rate/100, 1))]
		}
		n, err := to.Write(part)
		if d == Requests {
			l.proxy.counts.sent.Add(int64(n))
		} else {
			l.proxy.counts.received.Add(int64(n))
		}
		if err != nil {
			l.abort()
			return false
		}
		bytes = bytes[n:]
		if rate > 0 && !l.sleep(time.Duration(n)*time.Second/time.Duration(rate)) {
			return false
		}
	}
	return true
}

// wait returns when d is not held, or false when the link is aborted.
func (l *link) wait(d Direction) bool {
	return l.until(func(r rules) bool { return r.held&d == 0 })
}

// undropped returns when d is not dropped, or false when the link is aborted.
func (l *link) undropped(d Direction) bool {
	return l.until(func(r rules) bool { return r.dropped&d == 0 })
}

func (l *link) until(ok func(rules) bool) bool {
	for {
		rules, changed := l.proxy.now()
		if ok(rules) {
			select {
			case <-l.done:
				return false
			default:
				return true
			}
		}
		select {
		case <-changed:
		case <-l.done:
			return false
		}
	}
}

// sleep waits for d, or returns false when the link is aborted.
func (l *link) sleep(d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-l.done:
		return false
	}
}
