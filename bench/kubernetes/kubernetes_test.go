package kubernetes_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/micro/go-platform/discovery"
	discoverykubernetes "github.com/micro/go-platform/discovery/kubernetes"
	engine "github.com/micro/go-platform/engine/kubernetes"
	"github.com/micro/go-platform/internal/servertest"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

const (
	services  = 20
	endpoints = 100 // of a Service: one slice
)

// world is a namespace with all endpoints.
type world struct {
	b    *testing.B
	k    *servertest.KubeServer
	ns   string
	http *http.Client
}

func newWorld(b *testing.B, k *servertest.KubeServer) *world {
	ca, err := os.ReadFile(k.CAFile())
	if err != nil {
		b.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	w := &world{b, k, k.Namespace(b), &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}}}
	b.Cleanup(w.http.CloseIdleConnections)
	for s := range services {
		w.write(http.MethodPost, s, 0)
	}
	return w
}

// write writes the slice of a Service, whose first endpoint has a number.
func (w *world) write(method string, s, first int) {
	w.b.Helper()
	var list []string
	for e := range endpoints {
		ip := fmt.Sprintf("10.1.%d.%d", s, e)
		if e == 0 {
			ip = address(first)
		}
		list = append(list, fmt.Sprintf(`{"addresses":[%q],"conditions":{"ready":true,"serving":true,"terminating":false},"nodeName":"node-%d","zone":"zone-%d","targetRef":{"kind":"Pod","namespace":%q,"name":"service-%d-7d4b9c6f5d-%05d","uid":"0e3c2f6a-8d0b-4f4e-9a55-0123456789ab"}}`, ip, e%7, e%3, w.ns, s, e))
	}
	body := fmt.Sprintf(`{"metadata":{"name":"service-%d-abcde","labels":{"kubernetes.io/service-name":"service-%d","endpointslice.kubernetes.io/managed-by":"endpointslice-controller.k8s.io"}},"addressType":"IPv4","ports":[{"name":"http","port":8080,"protocol":"TCP"}],"endpoints":[%s]}`, s, s, strings.Join(list, ","))
	url := w.k.URL() + "/apis/discovery.k8s.io/v1/namespaces/" + w.ns + "/endpointslices"
	if method != http.MethodPost {
		url += fmt.Sprintf("/service-%d-abcde", s)
	}
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		w.b.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+servertest.KubeAdmin)
	r.Header.Set("Content-Type", "application/json")
	resp, err := w.http.Do(r)
	if err != nil {
		w.b.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode > 299 {
		w.b.Fatal(resp.Status)
	}
}

func address(n int) string { return fmt.Sprintf("10.2.%d.%d", n>>8, n&255) }

// follower follows all Services of a world. seen is told the first address of
// the set of Service 0 whenever the set changes.
type follower struct {
	close func()
}

// ours follows by package discovery.
func ours(w *world, seen func(set []string)) follower {
	ca, err := os.ReadFile(w.k.CAFile())
	if err != nil {
		w.b.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	e, err := engine.Open(w.k.URL(), engine.WithToken(servertest.KubeAdmin), engine.WithTLS(&tls.Config{RootCAs: roots}), engine.WithNamespace(w.ns))
	if err != nil {
		w.b.Fatal(err)
	}
	d, err := discovery.New(discoverykubernetes.On(e))
	if err != nil {
		w.b.Fatal(err)
	}
	var wg sync.WaitGroup
	for s := range services {
		wg.Go(func() {
			snap, err := d.Get(context.Background(), fmt.Sprint("service-", s))
			if err != nil || len(snap.Instances) != endpoints {
				w.b.Errorf("%d instances, %v", len(snap.Instances), err)
			}
		})
	}
	wg.Wait()
	if seen != nil {
		wg.Go(func() {
			for s, err := range d.Watch(context.Background(), "service-0") {
				if err == nil {
					set := make([]string, len(s.Instances))
					for i, in := range s.Instances {
						set[i] = in.Address
					}
					seen(set)
				}
			}
		})
	}
	return follower{func() { d.Close(); wg.Wait(); e.Close() }}
}

// informer follows by client-go, and keeps the addresses of each Service as its
// users do.
func informer(w *world, seen func(set []string)) follower {
	client, err := kubernetes.NewForConfig(&rest.Config{Host: w.k.URL(), BearerToken: servertest.KubeAdmin, TLSClientConfig: rest.TLSClientConfig{CAFile: w.k.CAFile()}, QPS: 50, Burst: 100,
		Dial: (&net.Dialer{}).DialContext}) // else it has the connection of the round before
	if err != nil {
		w.b.Fatal(err)
	}
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithNamespace(w.ns))
	in := factory.Discovery().V1().EndpointSlices()
	lister := in.Lister().EndpointSlices(w.ns)
	var mu sync.Mutex
	sets := map[string][]string{}
	update := func(object any) {
		name := object.(*discoveryv1.EndpointSlice).Labels[discoveryv1.LabelServiceName]
		all, err := lister.List(labels.SelectorFromSet(labels.Set{discoveryv1.LabelServiceName: name}))
		if err != nil {
			w.b.Error(err)
		}
		var set []string
		for _, s := range all {
			for _, e := range s.Endpoints {
				if e.Conditions.Ready == nil || *e.Conditions.Ready {
					set = append(set, fmt.Sprintf("%s:%d", e.Addresses[0], *s.Ports[0].Port))
				}
			}
		}
		slices.Sort(set)
		mu.Lock()
		sets[name] = set
		mu.Unlock()
		if seen != nil && name == "service-0" {
			seen(set)
		}
	}
	handled, err := in.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{AddFunc: update, UpdateFunc: func(_, n any) { update(n) }, DeleteFunc: func(any) {}})
	if err != nil {
		w.b.Fatal(err)
	}
	stop := make(chan struct{})
	factory.Start(stop)
	for !handled.HasSynced() {
		time.Sleep(100 * time.Microsecond)
	}
	mu.Lock()
	for s := range services {
		if n := len(sets[fmt.Sprint("service-", s)]); n != endpoints {
			w.b.Errorf("%d endpoints", n)
		}
	}
	mu.Unlock()
	return follower{func() { close(stop); factory.Shutdown(); runtime.KeepAlive(sets) }}
}

var contenders = []struct {
	name   string
	follow func(w *world, seen func([]string)) follower
}{{"ours", ours}, {"informer", informer}}

func processor(b *testing.B) time.Duration {
	var r syscall.Rusage
	err := syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	if err != nil {
		b.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// report says a figure of both, and ours as a multiple of the other's.
func report(b *testing.B, what string, figures [2]float64) {
	for i, c := range contenders {
		b.ReportMetric(figures[i], c.name+"-"+what)
	}
	b.ReportMetric(figures[0]/figures[1], "x-"+what)
	b.Logf("%s: ours %.3g, informer %.3g (%.2fx)", what, figures[0], figures[1], figures[0]/figures[1])
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func BenchmarkFollow(b *testing.B) {
	k := servertest.Kubernetes(b)
	w := newWorld(b, k)
	b.Run("sync", func(b *testing.B) {
		var wall, cpu [2]float64
		for round := range 10 {
			for i, c := range contenders {
				began, used := time.Now(), processor(b)
				f := c.follow(w, nil)
				d, p := ms(time.Since(began)), ms(processor(b)-used)
				f.close()
				if round == 0 || d < wall[i] {
					wall[i] = d
				}
				if round == 0 || p < cpu[i] {
					cpu[i] = p
				}
			}
		}
		b.ReportMetric(0, "ns/op")
		report(b, "sync-ms", wall)
		report(b, "sync-cpu-ms", cpu)
	})
	b.Run("change", func(b *testing.B) {
		var median, high, cpu [2]float64
		var took [2][]time.Duration
		var seen [2]chan string
		worlds := [2]*world{w, newWorld(b, k)}
		for i, c := range contenders {
			seen[i] = make(chan string, 1000)
			f := c.follow(worlds[i], func(set []string) {
				for _, a := range set {
					if strings.HasPrefix(a, "10.2.") {
						seen[i] <- strings.TrimSuffix(a, ":8080")
					}
				}
			})
			defer f.close()
		}
		for n := 1; n <= 100; n++ {
			for i := range contenders {
				began, used := time.Now(), processor(b)
				worlds[i].write(http.MethodPut, 0, n)
				for have := ""; have != address(n); {
					have = <-seen[i]
				}
				took[i] = append(took[i], time.Since(began))
				cpu[i] += ms(processor(b)-used) / 100
			}
		}
		for i := range contenders {
			slices.Sort(took[i])
			median[i], high[i] = ms(took[i][50]), ms(took[i][98])
		}
		b.ReportMetric(0, "ns/op")
		report(b, "seen-ms", median)
		report(b, "seen-p99-ms", high)
		report(b, "change-cpu-ms", cpu)
	})
	b.Run("rest", func(b *testing.B) {
		var cpu, heap [2]float64
		for i, c := range contenders {
			before := kept()
			f := c.follow(w, nil)
			time.Sleep(time.Second)
			heap[i] = float64(int64(kept())-int64(before)) / 1024
			used := processor(b)
			time.Sleep(10 * time.Second)
			cpu[i] = ms(processor(b) - used)
			f.close()
		}
		b.ReportMetric(0, "ns/op")
		report(b, "rest-cpu-ms", cpu)
		report(b, "heap-kib", heap)
	})
}

func kept() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
