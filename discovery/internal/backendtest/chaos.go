package backendtest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/internal/netfault"
	"github.com/micro/go-platform/internal/servertest"
)

// seed makes the short run the same every time.
const seed = 4

// Chaos registers, changes and deregisters instances for a time, over networks
// that fail at random, with a server that is killed and paused. When all is
// well again, every reader must see exactly what is registered.
func (b Backend) Chaos(t *testing.T, server *servertest.Server) {
	limit := servertest.Chaos(t)
	random := rand.New(rand.NewPCG(seed, seed))
	namespace := name()
	var proxies []*netfault.Proxy
	open := func(opts ...discovery.Option) discovery.Discovery {
		p := netfault.New(t, server.Addr())
		d := b.open(t, p.Addr(), namespace, append(opts, discovery.WithTimeout(time.Second))...)
		proxies = append(proxies, p)
		return d
	}
	writers := []discovery.Discovery{open(), open(), open()}
	readers := []discovery.Discovery{open(discovery.WithPreservation(0.15, 2*time.Second)), open(discovery.WithPreservation(0.15, 2*time.Second))}
	for _, d := range readers {
		Await(t, d, "nothing", Patience, live(""))
	}

	var standing []discovery.Registration
	counts := map[string]int{}
	note := func(what string, err error) {
		if err != nil {
			what += " failed"
		}
		counts[what]++
	}
	end := time.Now().Add(limit)
	faults := make(chan int)
	go func() {
		random, n := rand.New(rand.NewPCG(seed, 2*seed)), 0
		for ; time.Now().Before(end); n++ {
			fail(random, proxies[random.IntN(len(proxies))])
		}
		faults <- n
	}()
	repair, broken := func() {}, 0 // for how many steps more the server is unavailable
	for i := 0; time.Now().Before(end); i++ {
		broken--
		if broken == 0 {
			repair()
		}
		switch n := random.IntN(40); {
		case n == 0 && broken <= 0:
			counts["kill"]++
			server.Kill()
			repair, broken = server.Restart, 1+random.IntN(5)
		case n == 1 && broken <= 0:
			counts["pause"]++
			server.Pause()
			repair, broken = server.Resume, 1+random.IntN(5)
		case n < 12:
			r, err := writers[random.IntN(len(writers))].Register(t.Context(), in(fmt.Sprintf("i-%04d", i)))
			if note("register", err); err == nil {
				standing = append(standing, r)
			}
		case n < 20 && len(standing) > 3:
			at := random.IntN(len(standing))
			// If it fails, the instance goes with its TTL.
			note("deregister", standing[at].Deregister(t.Context()))
			standing = slices.Delete(standing, at, at+1)
		case n < 28 && len(standing) > 0:
			note("update", standing[random.IntN(len(standing))].Update(t.Context(), func(in *discovery.Instance) { in.Version = fmt.Sprint(i) }))
		default:
			<-time.After(time.Duration(random.IntN(100)) * time.Millisecond)
		}
	}
	counts["fault"] = <-faults
	if broken > 0 {
		repair()
	}
	for _, p := range proxies {
		p.Heal()
	}
	var want []string
	for _, r := range standing {
		want = append(want, r.Instance().ID+"="+r.Instance().Version)
	}
	slices.Sort(want)
	t.Logf("%v; %d stand", counts, len(want))
	for _, d := range readers {
		got := Await(t, d, fmt.Sprint(want), 2*b.TTL+Patience, func(s discovery.Snapshot) bool {
			return s.State == discovery.Live && s.Preserved == 0 && versions(s) == strings.Join(want, " ")
		})
		if got.Err != nil {
			t.Error(got.Err)
		}
	}
	for _, r := range standing {
		b.confirmed(t, r)
	}
}

func versions(s discovery.Snapshot) string {
	var all []string
	for _, in := range s.Instances {
		all = append(all, in.ID+"="+in.Version)
	}
	return strings.Join(all, " ")
}

// fail does one bad thing to a network, for up to half a second.
func fail(random *rand.Rand, p *netfault.Proxy) {
	switch random.IntN(5) {
	case 0:
		p.Reset()
	case 1:
		p.CutReplies(1 + random.IntN(3))
	case 2:
		p.Hold(netfault.Both)
	case 3:
		p.Drop(netfault.Direction(1 + random.IntN(3)))
	case 4:
		p.Refuse()
		p.Reset()
	}
	<-time.After(time.Duration(random.IntN(500)) * time.Millisecond)
	p.Heal()
}
