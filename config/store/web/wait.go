package web

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/mutex"
	"github.com/micro/go-platform/internal/watch"
)

const (
	longest   = 60 * time.Second // that a request may wait
	keepAlive = 15 * time.Second // between comments in a stream of events
	linger    = time.Minute      // that nobody may wait before following ends
	slack     = 30 * time.Second // to send an answer in
)

// view is the merged document of a namespace and those above it.
type view struct {
	tag  string
	data []byte
}

// topic is a namespace whose layers somebody waits for.
type topic struct {
	h      *Handler
	source config.Source
	stop   context.CancelFunc

	// Guarded by Handler.mu.
	waiters int
	idle    *time.Timer

	mu    sync.Mutex
	rings int           // how often the store said that something has changed
	rang  chan struct{} // closed at the next one

	reading mutex.Mutex
	readAt  int // what rings was when newest was read; 0: never
	newest  view
	err     error
}

func (h *Handler) source(namespace string) (config.Source, error) {
	s := h.store.Source(strings.Split(namespace, "/")...)
	if o, ok := s.(config.Opener); ok {
		if err := o.Open(h.life.Context()); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// read merges the layers as they are now.
func read(ctx context.Context, s config.Source) (view, error) {
	c, err := s.Read(ctx)
	if err != nil {
		return view{}, err
	}
	merged := []byte("{}")
	for _, p := range c.Parts {
		merged, err = config.MergePatch(merged, p.Data)
		if err != nil {
			return view{}, err
		}
	}
	sum := sha256.Sum256(merged)
	return view{tag: `"` + hex.EncodeToString(sum[:12]) + `"`, data: merged}, nil
}

// join makes the request one of those that wait. It fails with too many.
func (h *Handler) join(namespace string) (*topic, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.waiting >= h.most {
		return nil, fault.Markf(fault.Unavailable, "%d requests wait already", h.most)
	}
	t := h.topics[namespace]
	if t == nil {
		h.makeRoom()
		s, err := h.source(namespace)
		if err != nil {
			return nil, err
		}
		ctx, stop := context.WithCancel(h.life.Context())
		t = &topic{h: h, source: s, stop: stop, rings: 1, rang: make(chan struct{})}
		if !h.life.Go(func(context.Context) { t.follow(ctx) }) {
			stop()
			return nil, fault.Closed
		}
		h.topics[namespace] = t
	}
	if t.idle != nil {
		t.idle.Stop()
	}
	h.waiting++
	t.waiters++
	return t, nil
}

// makeRoom ends following what nobody waits for, so that no more namespaces are
// followed than requests may wait. h.mu is held.
func (h *Handler) makeRoom() {
	for namespace, t := range h.topics {
		if len(h.topics) >= h.most && t.waiters == 0 {
			h.drop(namespace, t)
		}
	}
}

// drop ends following a namespace. h.mu is held.
func (h *Handler) drop(namespace string, t *topic) {
	delete(h.topics, namespace)
	t.stop()
}

// leave ends a wait. Following goes on for a while: who has waited comes again.
func (h *Handler) leave(namespace string, t *topic) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.waiting--
	t.waiters--
	if t.waiters > 0 {
		return
	}
	t.idle = time.AfterFunc(linger, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if t.waiters == 0 && h.topics[namespace] == t {
			h.drop(namespace, t)
		}
	})
}

// follow rings whenever the store says that something may have changed.
func (t *topic) follow(ctx context.Context) {
	w, ok := t.source.(config.Watcher)
	if !ok { // a store that others made
		t.poll(ctx)
		return
	}
	_ = watch.Follow(ctx, watch.Options{}, func(ctx context.Context, _ bool, progress func(bool)) error {
		return w.Watch(ctx, func(config.Content, error) {
			progress(true)
			t.ring()
		})
	})
}

func (t *topic) poll(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			t.ring()
		case <-ctx.Done():
			return
		}
	}
}

func (t *topic) ring() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rings++
	close(t.rang)
	t.rang = make(chan struct{})
}

// heard returns how often it rang, and what tells of the next time.
func (t *topic) heard() (int, <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.rings, t.rang
}

// after reads the layers, unless somebody has done so since it rang for the n-th
// time: all that wait share one read.
func (t *topic) after(ctx context.Context, n int) (view, error) {
	err := t.reading.Lock(ctx)
	if err != nil {
		return view{}, err
	}
	defer t.reading.Unlock()
	if t.readAt >= n {
		return t.newest, t.err
	}
	at, _ := t.heard() // before it is read
	v, err := read(ctx, t.source)
	if ctx.Err() == nil { // else it says something of that request alone
		t.readAt, t.newest, t.err = at, v, err
	}
	return v, err
}

// layers answers with the merged document, at once, when it changes, or each time
// that it does.
func (h *Handler) layers(w http.ResponseWriter, r *http.Request, namespace string) {
	if r.Method == http.MethodGet && strings.Contains(r.Header.Get("Accept"), "text/event-stream") {
		h.events(w, r, namespace)
		return
	}
	wait, known := waitOf(r), r.Header.Get("If-None-Match")
	if wait == 0 || known == "" || r.Method != http.MethodGet {
		s, err := h.source(namespace)
		var v view
		if err == nil {
			v, err = read(r.Context(), s)
		}
		if err != nil {
			fail(w, err)
			return
		}
		answer(w, r, v.tag, v.data)
		return
	}
	w.Header().Set("Preference-Applied", "wait="+strconv.Itoa(int(wait/time.Second)))
	h.extend(w, wait)
	timer := time.NewTimer(wait)
	defer timer.Stop()
	var last view
	err := h.changes(r.Context(), namespace, timer.C, func(v view) bool {
		last = v
		return matches(known, v.tag)
	})
	if err != nil {
		if r.Context().Err() == nil {
			fail(w, err)
		}
		return
	}
	answer(w, r, last.tag, last.data)
}

// changes calls f with the layers, and again after each change, for as long as f
// wants more or until the time is over. A store that can't be asked after the
// first time ends it.
func (h *Handler) changes(ctx context.Context, namespace string, over <-chan time.Time, f func(view) (more bool)) error {
	ctx, release := h.life.Join(ctx)
	defer release()
	t, err := h.join(namespace)
	if err != nil {
		return err
	}
	defer h.leave(namespace, t)
	for {
		n, rang := t.heard()
		v, err := t.after(ctx, n)
		if err != nil {
			return err
		}
		if !f(v) {
			return nil
		}
		select {
		case <-rang:
		case <-over:
			return nil
		case <-ctx.Done():
			if h.life.Closed() {
				return fault.Closed
			}
			return ctx.Err()
		}
	}
}

// events answers with a stream of events (Server-Sent Events, HTML Living
// Standard 9.2).
func (h *Handler) events(w http.ResponseWriter, r *http.Request, namespace string) {
	known, begun := r.Header.Get("Last-Event-ID"), false
	c := http.NewResponseController(w)
	send := func(text []byte) bool {
		if !begun {
			w.Header().Set("Content-Type", "text/event-stream")
			w.WriteHeader(http.StatusOK)
			begun = true
		}
		h.extend(w, 0)
		_, err := w.Write(text)
		return errors.Join(err, c.Flush()) == nil
	}
	for {
		timer := time.NewTimer(keepAlive)
		alive := true
		err := h.changes(r.Context(), namespace, timer.C, func(v view) bool {
			if v.tag != known {
				known = v.tag
				alive = send(fmt.Appendf(nil, "id: %s\ndata: %s\n\n", v.tag, bytes.TrimSpace(v.data)))
			} else if !begun {
				alive = send([]byte(":\n\n"))
			}
			return alive
		})
		timer.Stop()
		switch {
		case err != nil && !begun:
			if r.Context().Err() == nil {
				fail(w, err)
			}
			return
		case err != nil, !alive, !send([]byte(":\n\n")):
			return
		}
	}
}

// extend gives an answer that is to be sent after a wait its time, whatever the
// server's WriteTimeout.
func (h *Handler) extend(w http.ResponseWriter, wait time.Duration) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(wait + slack))
}

// waitOf reads Prefer: wait=n.
func waitOf(r *http.Request) time.Duration {
	for _, header := range r.Header["Prefer"] {
		for one := range strings.FieldsFuncSeq(header, func(r rune) bool { return r == ',' || r == ';' }) {
			name, value, _ := strings.Cut(strings.TrimSpace(one), "=")
			if !strings.EqualFold(strings.TrimSpace(name), "wait") {
				continue
			}
			n, err := strconv.ParseUint(strings.Trim(strings.TrimSpace(value), `"`), 10, 31)
			if err != nil {
				return 0
			}
			return min(time.Duration(n)*time.Second, longest)
		}
	}
	return 0
}
