package ring

import (
	"net"
	"runtime"
	"sync"
	"time"
)

const (
	maxUnsent   = 8 << 20          // bytes of requests that wait to be written
	writeWithin = 10 * time.Second // a peer that reads nothing for so long is cut off
	bufferSize  = 64 << 10
	smallFrame  = 4 << 10
	keepBuffer  = 1 << 20 // a larger one that was needed once is let go
)

// wire writes frames to a connection. What several goroutines send while a
// write is under way goes out with the next one.
type wire struct {
	net.Conn
	mu    sync.Mutex
	out   []byte
	spare []byte // what out was before, to be used again
	wake  chan struct{}
	dead  chan struct{}
	once  sync.Once
}

func newWire(c net.Conn) *wire {
	return &wire{Conn: c, wake: make(chan struct{}, 1), dead: make(chan struct{})}
}

func (w *wire) fail() {
	w.once.Do(func() {
		close(w.dead)
		w.Conn.Close()
	})
}

// send queues a frame whose body put appends. It reports false if limit bytes
// wait already; 0 is no limit. A small frame that is alone it writes at once:
// that must be unlikely to block.
func (w *wire) send(id uint32, op byte, limit int, alone bool, put func([]byte) []byte) bool {
	w.mu.Lock()
	begin := len(w.out)
	if limit > 0 && begin > limit {
		w.mu.Unlock()
		return false
	}
	w.out = endFrame(put(beginFrame(w.out, id, op)), begin)
	if alone && begin == 0 && len(w.out) <= smallFrame {
		out := w.take()
		w.mu.Unlock()
		if w.write(out) != nil {
			w.fail()
		}
		w.giveBack(out)
		return true
	}
	w.mu.Unlock()
	if begin == 0 { // else somebody has woken the writer, and it has not looked yet
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
	return true
}

// take returns what is queued. Called with mu held.
func (w *wire) take() []byte {
	out := w.out
	w.out, w.spare = w.spare[:0], nil
	return out
}

// giveBack lets a buffer be used again.
func (w *wire) giveBack(b []byte) {
	if cap(b) <= keepBuffer {
		w.mu.Lock()
		w.spare = b
		w.mu.Unlock()
	}
}

// reply queues an answer.
func (w *wire) reply(id uint32, status byte, body []byte) {
	w.send(id, status, 0, false, func(b []byte) []byte { return append(b, body...) })
}

// flush writes what is queued, until the wire fails.
func (w *wire) flush() {
	defer w.fail()
	for {
		select {
		case <-w.wake:
		case <-w.dead:
			return
		}
		// Those who run anyway may have something to send as well: many callers
		// are woken by one read.
		runtime.Gosched()
		w.mu.Lock()
		out := w.take()
		w.mu.Unlock()
		if len(out) > 0 && w.write(out) != nil {
			return
		}
		w.giveBack(out)
	}
}

func (w *wire) write(b []byte) error {
	_ = w.SetWriteDeadline(time.Now().Add(writeWithin))
	_, err := w.Write(b)
	return err
}
