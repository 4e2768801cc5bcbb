package kv_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bradfitz/gomemcache/memcache"
	"github.com/golang/groupcache"
	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/internal/servertest"
	"github.com/micro/go-platform/kv"
	"github.com/micro/go-platform/kv/ring"
)

func TestMain(m *testing.M) {
	servertest.RunRole(map[string]servertest.Role{"instance": instanceRole})
	os.Exit(m.Run())
}

var secret = []byte("of the benchmark only")

// pool is groupcache in this process, of which it can be there only once.
var pool = sync.OnceValue(func() *groupcache.HTTPPool {
	p := groupcache.NewHTTPPoolOpts("http://self", nil)
	// The default keeps two connections to a peer, and dials for most calls.
	transport := &http.Transport{MaxIdleConnsPerHost: 128}
	p.Transport = func(context.Context) http.RoundTripper { return transport }
	return p
})

// group is of n bytes. What is not there is value.
func group(name string, n int64) *groupcache.Group {
	if g := groupcache.GetGroup(name); g != nil {
		return g
	}
	pool()
	return groupcache.NewGroup(name, n, groupcache.GetterFunc(func(_ context.Context, _ string, dest groupcache.Sink) error {
		return dest.SetBytes(value)
	}))
}

// instance is a process of a service: part of a ring, and a peer of groupcache.
type instance struct {
	address string
	d       discovery.Discovery
	node    *ring.Node
	server  *http.Server
}

func newInstance(id string) (*instance, error) {
	d, err := discovery.New()
	if err != nil {
		return nil, err
	}
	node, err := ring.New(d, "bench", id, ring.WithKey(secret))
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/.ring", node)
	mux.Handle("/_groupcache/", pool())
	in := &instance{l.Addr().String(), d, node, &http.Server{Handler: mux}}
	go func() { _ = in.server.Serve(l) }()
	return in, nil
}

func (in *instance) close() {
	in.node.Close()
	in.server.Close()
	in.d.Close()
}

// meet tells who is there: "id=address" each.
func (in *instance) meet(who []string) error {
	for _, w := range who {
		id, address, _ := strings.Cut(w, "=")
		if _, err := in.d.Register(context.Background(), discovery.Instance{Service: "bench", ID: id, Address: address}); err != nil {
			return err
		}
	}
	return nil
}

// instanceRole prints its address, reads who is there, and stays until the
// benchmark has ended.
func instanceRole(args []string) error {
	in, err := newInstance(args[0])
	if err != nil {
		return err
	}
	defer in.close()
	pool() // has no peers: what it is asked for it has or loads
	group("remote", 64<<20)
	group("three", 64<<20)
	fmt.Println(in.address)
	for input := bufio.NewScanner(os.Stdin); input.Scan(); {
		if err := in.meet(strings.Fields(input.Text())); err != nil {
			return err
		}
	}
	return nil
}

// service starts two processes and, in this one, a third instance, or one that
// has nothing itself and asks the two.
func service(b *testing.B, member bool) kv.KV {
	b.Helper()
	in, err := newInstance("a")
	must(err)
	b.Cleanup(in.close)
	var who, urls []string
	if member {
		who, urls = append(who, "a="+in.address), append(urls, "http://self")
	}
	var children []*servertest.Process
	for _, id := range []string{"b", "c"} {
		p := servertest.Child(b, "instance", id)
		address := p.Line()
		children = append(children, p)
		who, urls = append(who, id+"="+address), append(urls, "http://"+address)
	}
	for _, p := range children {
		p.Send(strings.Join(who, " "))
	}
	must(in.meet(who))
	pool().Set(urls...)
	store, err := kv.New(ring.Backend(in.node), kv.WithDialTimeout(30*time.Second), kv.WithTimeout(30*time.Second))
	must(err)
	b.Cleanup(func() { store.Close() })
	must(in.node.Settled(b.Context()))
	for _, key := range keys {
		_, err := store.Put(b.Context(), key, value)
		must(err)
	}
	return store
}

func BenchmarkRing(b *testing.B) {
	raw := memcache.New(servertest.Memcached(b).Addr())
	raw.MaxIdleConns = 100
	defer raw.Close()
	for _, key := range keys {
		must(raw.Set(&memcache.Item{Key: key, Value: value}))
	}
	ctx := context.Background()
	memcached := contender{"gomemcache", func(i int) { _, err := raw.Get(keyOf(i)); must(err) }}
	for _, c := range []struct {
		name   string
		member bool
		group  *groupcache.Group
	}{
		// Every read asks one of two peers. Groupcache keeps nothing here.
		{"Remote", false, group("remote", 0)},
		// The reader is one of three instances. Two thirds of the keys are on it:
		// the ring has two copies. Groupcache's items never change, so after a
		// while it has all of them here.
		{"Three", true, group("three", 64<<20)},
	} {
		b.Run(c.name, func(b *testing.B) {
			store := service(b, c.member)
			for _, callers := range []int{1, 8, 64} {
				b.Run(fmt.Sprintf("Get/%d", callers), func(b *testing.B) {
					compare(b, callers,
						contender{"ring", func(i int) { _, err := store.Get(ctx, keyOf(i)); must(err) }},
						memcached,
						contender{"groupcache", func(i int) {
							var v groupcache.ByteView
							must(c.group.Get(ctx, keyOf(i), groupcache.ByteViewSink(&v)))
						}})
				})
			}
			b.Run("Put/64", func(b *testing.B) {
				compare(b, 64,
					contender{"ring", func(i int) { _, err := store.Put(ctx, keyOf(i), value); must(err) }},
					contender{"gomemcache", func(i int) { must(raw.Set(&memcache.Item{Key: keyOf(i), Value: value})) }})
			})
			many := keys[:100]
			b.Run("GetMany100/8", func(b *testing.B) {
				compare(b, 8,
					contender{"ring", func(int) { _, err := store.GetMany(ctx, many...); must(err) }},
					contender{"gomemcache", func(int) { _, err := raw.GetMulti(many); must(err) }})
			})
		})
	}
}
