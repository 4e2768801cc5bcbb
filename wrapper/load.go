package wrapper

import (
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/micro/go-platform/router"
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
		}
	}
	if !l.Reported {
		return router.Load{}
	}
	return l
}

// LoadReport is what an answer tells about this process, for HeaderLoad; "" if
// nothing, as without WithLoadReport.
func (a Adapter) LoadReport() string {
	if !a.w.o.load {
		return ""
	}
	b := make([]byte, 0, 32)
	b = append(b, "inflight="...)
	b = strconv.AppendInt(b, a.w.inFlight.Load(), 10)
	if u, ok := a.w.processor.utilisation(); ok {
		b = append(b, ";util="...)
		b = strconv.AppendFloat(b, u, 'f', 2, 64)
	}
	return string(b)
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
