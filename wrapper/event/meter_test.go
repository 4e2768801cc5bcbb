package event

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/metrics"
	"github.com/micro/go-platform/wrapper"
)

// halting is a subscription that is asked for its group, and for its lag, until it is
// told to answer.
type halting struct {
	event.Subscription
	halts                    atomic.Bool // at the next question for the group
	begun, group, asked, lag chan struct{}
}

func (h *halting) Group() string {
	if h.halts.Swap(false) {
		close(h.begun)
		<-h.group
	}
	return "g"
}

func (h *halting) Stats() event.Stats { return event.Stats{} }

func (h *halting) Lag(context.Context) (event.Lag, error) {
	close(h.asked)
	<-h.lag
	return event.Lag{}, nil
}

// A question about lags that a scrape has begun is waited for, however late it began.
func TestCloseOfAMeterWaitsForItsQuestions(t *testing.T) {
	m, err := metrics.New()
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close(t.Context())
	w, err := wrapper.New(wrapper.WithName("orders"), wrapper.WithMetrics(m))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close(t.Context())
	me := newMeter(w.Adapter(), "memory")
	h := &halting{begun: make(chan struct{}), group: make(chan struct{}), asked: make(chan struct{}), lag: make(chan struct{})}
	me.begin(&subscription{Subscription: h})
	h.halts.Store(true)
	go func() {
		me.mu.Lock()
		defer me.mu.Unlock()
		me.ask()
	}()
	<-h.begun // ask has seen that the meter is open
	closed := make(chan struct{})
	go func() { me.close(); close(closed) }()
	select {
	case <-me.ctx.Done(): // too early
	case <-time.After(50 * time.Millisecond):
	}
	close(h.group)
	<-h.asked
	select {
	case <-closed:
		t.Error("the meter is closed, and asks")
	case <-time.After(50 * time.Millisecond):
	}
	close(h.lag)
	<-closed
}
