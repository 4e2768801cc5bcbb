package wrapper

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/trace"
)

// ParseLoad reads a report of load, as HeaderLoad carries it. Unknown parts are
// skipped, and one without the number of calls in progress says nothing.
func ParseLoad(v string) router.Load {
	var l router.Load
	if len(v) > 128 {
		return l
	}
	for part := range strings.SplitSeq(v, ";") {
		key, text, _ := strings.Cut(strings.TrimSpace(part), "=")
		n, err := strconv.ParseFloat(text, 64)
		if err != nil || n < 0 || n > 1e9 || n != n {
			continue
		}
		switch key {
		case "inflight":
			l.InFlight, l.Reported = n, true
		case "util":
			l.Utilisation = n
		case "latency":
			l.Latency = time.Duration(n * float64(time.Millisecond))
		}
	}
	if !l.Reported {
		return router.Load{}
	}
	return l
}

// LoadReport is what the answer to a call tells about this process, for
// HeaderLoad; "" if nothing, as without WithLoadReport, or to a stranger.
func (a Adapter) LoadReport(c *Call) string {
	if !a.w.o.load || c.stranger {
		return ""
	}
	b := make([]byte, 0, 32)
	b = append(b, "inflight="...)
	b = strconv.AppendInt(b, a.w.inFlight.Load(), 10)
	if u, ok := a.w.processor.utilisation(); ok {
		b = append(b, ";util="...)
		b = strconv.AppendFloat(b, u, 'f', 2, 64)
	}
	if d := a.w.took.median(); d > 0 {
		b = append(b, ";latency="...)
		b = strconv.AppendFloat(b, float64(d)/float64(time.Millisecond), 'f', 3, 64)
	}
	return string(b)
}

// LoadPath is where a server with WithLoadReport answers probes: at once, from
// memory, past everything else, and to everybody who can reach it.
const LoadPath = "/loadz"

// probed answers a probe.
func (w *Wrapper) probed(rw http.ResponseWriter, r *http.Request) bool {
	if !w.o.load || r.URL.Path != LoadPath || r.Method != http.MethodGet {
		return false
	}
	c := Call{Side: Server, Protocol: "http", Service: w.o.name, Action: r.Method, Header: trace.Header(r.Header), native: r}
	if !w.o.believes(r.Context(), &c) {
		return false
	}
	rw.Header()[HeaderLoad] = []string{w.Adapter().LoadReport(&c)}
	rw.WriteHeader(http.StatusNoContent)
	return true
}

// Probe asks servers with WithLoadReport how busy they are, for router.Prequal.
// scheme is "http" or "https". nil stands for http.DefaultClient; idle
// connections are the client's user's to close.
func Probe(client *http.Client, scheme string) router.Probe {
	if client == nil {
		client = http.DefaultClient
	}
	return func(ctx context.Context, in *discovery.Instance) (router.Load, error) {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+in.Address+LoadPath, nil)
		if err != nil {
			return router.Load{}, err
		}
		resp, err := client.Do(r)
		if err != nil {
			return router.Load{}, err
		}
		resp.Body.Close()
		l := ParseLoad(resp.Header.Get(HeaderLoad))
		if !l.Reported {
			return l, fmt.Errorf("%s says nothing of its load: status %d", in.ID, resp.StatusCode)
		}
		return l, nil
	}
}

// durations remembers how long the last calls took.
type durations struct {
	next   atomic.Uint32
	last   [32]atomic.Int64
	known  atomic.Int64 // the median, as it was
	sorted atomic.Int64 // when it was worked out, ns since 1970
}

func (d *durations) add(took time.Duration) {
	d.last[d.next.Add(1)%uint32(len(d.last))].Store(int64(max(took, 1)))
}

// median is that of the calls that ended lately, 0 before there was one. It is
// worked out at most every few milliseconds: each answer asks for it.
func (d *durations) median() time.Duration {
	now := time.Now().UnixNano()
	if old := d.sorted.Load(); now-old < int64(5*time.Millisecond) && now >= old || !d.sorted.CompareAndSwap(d.sorted.Load(), now) {
		return time.Duration(d.known.Load())
	}
	var buf [32]int64
	list := buf[:0]
	for i := range d.last {
		if v := d.last[i].Load(); v > 0 {
			list = append(list, v)
		}
	}
	if len(list) == 0 {
		return 0
	}
	slices.Sort(list)
	d.known.Store(list[len(list)/2])
	return time.Duration(list[len(list)/2])
}

// processor follows how busy the process keeps its processors.
type processor struct {
	mu      sync.Mutex
	at      time.Time
	used    time.Duration
	busy    float64
	sampled bool // busy holds
}

// sampleEvery bounds how often the system is asked.
const sampleEvery = 250 * time.Millisecond

// utilisation is the share of GOMAXPROCS that the process used lately: 1 is all
// of it. ok is false where the system doesn't tell, and in the first moments.
func (p *processor) utilisation() (busy float64, ok bool) {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	past := now.Sub(p.at)
	if !p.at.IsZero() && past < sampleEvery {
		return p.busy, p.sampled
	}
	used, known := processorTime()
	if !known {
		return 0, false
	}
	if !p.at.IsZero() {
		p.busy, p.sampled = float64(used-p.used)/float64(past)/float64(runtime.GOMAXPROCS(0)), true
	}
	p.at, p.used = now, used
	return p.busy, p.sampled
}
