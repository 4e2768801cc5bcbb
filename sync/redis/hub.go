package redis

import (
	"context"
	gosync "sync"
	"time"

	redisconn "github.com/micro/go-platform/internal/conn/redis"
	goredis "github.com/redis/go-redis/v9"
)

// hub is the one subscribed connection that all waits of a Sync share. It is
// made at the first wait.
type hub struct {
	conn *redisconn.Client

	mu       gosync.Mutex
	pubsub   *goredis.PubSub
	channels map[string]map[*subscriber]struct{}
	done     chan struct{} // closed when the reader has ended
	closed   bool
	wanted   map[string]bool // changes of the subscription not yet sent
	sending  bool
	senders  gosync.WaitGroup
}

// subscriber gets the newest message of a channel, and "" when a message may
// have been missed: after every (re)connection.
type subscriber struct {
	h        *hub
	channel  string
	messages chan string // 1 place
}

func newHub(c *redisconn.Client) *hub {
	return &hub{conn: c, channels: map[string]map[*subscriber]struct{}{}, wanted: map[string]bool{}}
}

// join subscribes. It does no I/O; a message "" says that it is done.
func (h *hub) join(channel string) *subscriber {
	s := &subscriber{h: h, channel: channel, messages: make(chan string, 1)}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return s
	}
	if h.pubsub == nil {
		h.pubsub = h.conn.Subscribe(context.Background())
		h.done = make(chan struct{})
		go h.read(h.pubsub.ChannelWithSubscriptions(goredis.WithChannelHealthCheckInterval(time.Second)))
	}
	if h.channels[channel] == nil {
		h.channels[channel] = map[*subscriber]struct{}{}
		h.want(channel, true)
	} else {
		replace(s.messages, "") // subscribed already, but maybe after the caller's first look
	}
	h.channels[channel][s] = struct{}{}
	return s
}

func (s *subscriber) leave() {
	s.h.mu.Lock()
	defer s.h.mu.Unlock()
	delete(s.h.channels[s.channel], s)
	if len(s.h.channels[s.channel]) == 0 {
		delete(s.h.channels, s.channel)
		s.h.want(s.channel, false)
	}
}

// want notes a change; one goroutine at a time sends what has been noted, so
// neither join nor leave waits for the network. It is called with mu locked.
func (h *hub) want(channel string, on bool) {
	h.wanted[channel] = on
	if !h.sending && !h.closed {
		h.sending = true
		h.senders.Add(1)
		go h.send()
	}
}

func (h *hub) send() {
	defer h.senders.Done()
	for {
		h.mu.Lock()
		var on, off []string
		for c, w := range h.wanted {
			if w {
				on = append(on, c)
			} else {
				off = append(off, c)
			}
		}
		clear(h.wanted)
		if len(on)+len(off) == 0 || h.closed {
			h.sending = false
			h.mu.Unlock()
			return
		}
		h.mu.Unlock()
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		// After an error the client subscribes again when it has reconnected.
		if len(off) > 0 {
			h.pubsub.Unsubscribe(ctx, off...)
		}
		if len(on) > 0 {
			h.pubsub.Subscribe(ctx, on...)
		}
		cancel()
	}
}

// read passes messages on until the connection is closed for good.
func (h *hub) read(messages <-chan any) {
	defer close(h.done)
	for m := range messages {
		switch m := m.(type) {
		case *goredis.Message:
			h.tell(m.Channel, m.Payload)
		case *goredis.Subscription:
			if m.Kind == "subscribe" {
				h.tell(m.Channel, "")
			}
		}
	}
}

func (h *hub) tell(channel, message string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for s := range h.channels[channel] {
		replace(s.messages, message)
	}
}

// replace puts a message into a channel with one place, instead of one that was
// not read. A grant must not replace a release: who waits would sleep on.
func replace(messages chan string, message string) {
	for {
		select {
		case messages <- message:
			return
		default:
		}
		select {
		case old := <-messages:
			if message == "granted" {
				message = old
			}
		default: // it was read meanwhile
		}
	}
}

func (h *hub) close() {
	h.mu.Lock()
	h.closed = true
	p := h.pubsub
	h.mu.Unlock()
	h.senders.Wait()
	if p != nil {
		p.Close()
		<-h.done
	}
}
