package store

import (
	"context"
	"errors"
	gosync "sync"

	"github.com/micro/go-platform/metrics"
	"github.com/micro/go-platform/sync"
	"github.com/micro/go-platform/wrapper"
)

// meter keeps metrics of the locks, permits and leaderships of a Sync. A nil
// meter keeps none.
type meter struct {
	sync   sync.Sync
	system string

	held, waiting *metrics.Vec[metrics.Gauge]
	lost          *metrics.Vec[metrics.Counter]
	stop          func()

	mu    gosync.Mutex
	kinds map[sync.Kind]bool // that have gauges
}

func newMeter(a wrapper.Adapter, s sync.Sync, system string) *meter {
	m := a.Metrics()
	if m == nil {
		return nil
	}
	keys := []string{"db.system.name", "platform.lock.kind"}
	me := &meter{
		sync: s, system: system, kinds: map[sync.Kind]bool{},
		held:    m.GaugeVec("platform.lock.held", keys, metrics.Unit("{lock}"), metrics.Help("Locks, permits and leaderships that this process has.")),
		waiting: m.GaugeVec("platform.lock.waiting", keys, metrics.Unit("{lock}"), metrics.Help("Locks, permits and leaderships that this process waits for.")),
		lost:    m.CounterVec("platform.lock.lost", keys, metrics.Unit("{lock}"), metrics.Help("Locks, permits and leaderships that were lost before they were released.")),
	}
	me.stop = a.OnCollect(me.collect)
	return me
}

func (me *meter) collect() {
	me.mu.Lock()
	defer me.mu.Unlock()
	held, waiting := map[sync.Kind]int{}, map[sync.Kind]int{}
	for _, h := range me.sync.Holds() {
		me.kinds[h.Kind] = true
		if h.Waiting {
			waiting[h.Kind]++
		} else {
			held[h.Kind]++
		}
	}
	for kind := range me.kinds {
		me.held.With(me.system, string(kind)).Set(float64(held[kind]))
		me.waiting.With(me.system, string(kind)).Set(float64(waiting[kind]))
	}
}

// watch counts the end of what is held, if it is lost. ctx is its context.
func (me *meter) watch(ctx context.Context, kind sync.Kind) {
	if me == nil {
		return
	}
	lost := me.lost.With(me.system, string(kind)) // at 0: what comes to be counted is an increase
	context.AfterFunc(ctx, func() {
		if errors.Is(context.Cause(ctx), sync.ErrLost) {
			lost.Inc()
		}
	})
}

func (me *meter) close() {
	if me != nil {
		me.collect()
		me.stop()
	}
}
