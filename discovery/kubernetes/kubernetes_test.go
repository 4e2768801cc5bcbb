package kubernetes_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/discovery/kubernetes"
	engines "github.com/micro/go-platform/engine"
	engine "github.com/micro/go-platform/engine/kubernetes"
	"github.com/micro/go-platform/internal/servertest"
)

const slicesPath = "/apis/discovery.k8s.io/v1/namespaces/%s/endpointslices"

// world is a namespace of the shared server, where a test does what controllers do.
type world struct {
	t  *testing.T
	k  *servertest.KubeServer
	ns string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	k := servertest.SharedKubernetes(t)
	return &world{t, k, k.Namespace(t)}
}

// slice is an EndpointSlice as the endpointslice controller writes it.
func (w *world) slice(method, name, service, kind, ports string, endpoints ...string) {
	w.t.Helper()
	body := fmt.Sprintf(`{"metadata":{"name":%q,"labels":{"kubernetes.io/service-name":%q,"endpointslice.kubernetes.io/managed-by":"endpointslice-controller.k8s.io"}},
		"addressType":%q,"ports":[%s],"endpoints":[%s]}`, name, service, kind, ports, strings.Join(endpoints, ","))
	path := fmt.Sprintf(slicesPath, w.ns)
	if method != http.MethodPost {
		path += "/" + name
	}
	w.k.Do(w.t, method, path, body)
}

func (w *world) put(name, service, ports string, endpoints ...string) {
	w.t.Helper()
	w.slice(http.MethodPost, name, service, "IPv4", ports, endpoints...)
}

const oneHTTP = `{"name":"http","port":8080}`

// pod is an endpoint.
func pod(name, ip, conditions string) string {
	return fmt.Sprintf(`{"addresses":[%q],"conditions":{%s},"zone":"zone-1","targetRef":{"kind":"Pod","name":%q}}`, ip, conditions, name)
}

const ready = `"ready":true,"serving":true,"terminating":false`

// engine opens one for a token; wrap may stand before its transport.
func (w *world) engine(token string, wrap func(http.RoundTripper) http.RoundTripper) *engine.Engine {
	w.t.Helper()
	ca, err := os.ReadFile(w.k.CAFile())
	if err != nil {
		w.t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	trust := &tls.Config{RootCAs: roots}
	var e *engine.Engine
	if wrap == nil {
		e, err = engine.Open(w.k.URL(), engine.WithTLS(trust), engine.WithToken(token), engine.WithNamespace(w.ns))
	} else {
		own := &http.Transport{TLSClientConfig: trust, ForceAttemptHTTP2: true}
		w.t.Cleanup(own.CloseIdleConnections)
		e, err = engine.FromClient(w.k.URL(), &http.Client{Transport: wrap(own)}, engine.WithNamespace(w.ns))
	}
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { e.Close() })
	return e
}

func (w *world) open(e *engine.Engine, opts ...kubernetes.Option) discovery.Discovery {
	w.t.Helper()
	d, err := discovery.New(kubernetes.On(e, opts...), discovery.WithTTL(ttl), discovery.WithRetry(20*time.Millisecond, 500*time.Millisecond))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { d.Close() })
	return d
}

func (w *world) admin(opts ...kubernetes.Option) discovery.Discovery {
	w.t.Helper()
	return w.open(w.engine(servertest.KubeAdmin, nil), opts...)
}

// show is a set as "id=address/status".
func show(s discovery.Snapshot) string {
	var all []string
	for _, in := range s.Instances {
		all = append(all, in.ID+"="+in.Address+"/"+in.Status.String())
	}
	return strings.Join(all, " ")
}

func see(t *testing.T, d discovery.Discovery, service, want string) discovery.Snapshot {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var last discovery.Snapshot
	for s, err := range d.Watch(ctx, service) {
		if err != nil {
			break
		}
		if last = s; s.State == discovery.Live && show(s) == want {
			return s
		}
	}
	t.Fatalf("%s: have [%s] %v %v, want [%s]", service, show(last), last.State, last.Err, want)
	return last
}

func TestConditionsAreStatuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.admin()
	see(t, d, "greeter", "")
	for i, c := range []struct{ conditions, want string }{
		{ready, "up"},
		{"", "up"}, // unknown is as good as true
		{`"ready":true,"serving":true,"terminating":true`, "draining"}, // publishNotReadyAddresses
		{`"ready":false,"serving":false,"terminating":false`, "starting"},
		{`"ready":false,"serving":true,"terminating":true`, "draining"},
		{`"ready":false,"terminating":true`, "draining"},
		{`"ready":false,"serving":false,"terminating":true`, "down"},
	} {
		method := http.MethodPut
		if i == 0 {
			method = http.MethodPost
		}
		w.slice(method, "greeter-1", "greeter", "IPv4", oneHTTP, pod("a", "10.1.0.1", c.conditions))
		s := see(t, d, "greeter", "a=10.1.0.1:8080/"+c.want)
		if in := s.Instances[0]; in.Zone != "zone-1" || in.Labels != nil || in.Version != "" {
			t.Errorf("%+v", in)
		}
	}
	w.k.Do(t, http.MethodDelete, fmt.Sprintf(slicesPath, w.ns)+"/greeter-1", "")
	see(t, d, "greeter", "")
	if all := d.Changes("greeter", time.Time{}); len(all) == 0 || all[len(all)-1].Fate != discovery.Deregistered {
		t.Errorf("what Kubernetes removed is %+v", all)
	}
}

func TestEndpointsAreFound(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := newWorld(t)
	w.put("one", "greeter", oneHTTP+`,{"name":"grpc","port":9090},{"name":"dns","protocol":"UDP","port":53}`, pod("a", "10.1.0.1", ready), `{"addresses":["10.1.0.9"],"conditions":{}}`)
	// The same pod in a second slice, and of another family: it counts once.
	w.put("two", "greeter", oneHTTP+`,{"name":"grpc","port":9090}`, pod("a", "10.1.0.1", ready), pod("b", "10.1.0.2", ready))
	w.slice(http.MethodPost, "six", "greeter", "IPv6", oneHTTP, pod("b", "fd00::2", ready), pod("c", "fd00::3", ready))
	w.put("empty", "greeter", oneHTTP)
	w.put("udp", "clock", `{"name":"ntp","protocol":"UDP","port":123}`, pod("a", "10.1.0.1", ready))
	w.put("others", "greeter-2", oneHTTP, pod("z", "10.1.0.3", ready))
	other.put("one", "greeter", oneHTTP, pod("far", "10.2.0.1", ready))
	d := w.admin(kubernetes.WithTargets(kubernetes.ParseTarget))
	for service, want := range map[string]string{
		"greeter":                       "10.1.0.9=10.1.0.9:8080/up a=10.1.0.1:8080/up b=10.1.0.2:8080/up c=[fd00::3]:8080/up",
		"greeter:http":                  "10.1.0.9=10.1.0.9:8080/up a=10.1.0.1:8080/up b=10.1.0.2:8080/up c=[fd00::3]:8080/up",
		"greeter:grpc":                  "10.1.0.9=10.1.0.9:9090/up a=10.1.0.1:9090/up b=10.1.0.2:9090/up",
		"greeter:none":                  "",
		"greeter." + w.ns + ":grpc":     "10.1.0.9=10.1.0.9:9090/up a=10.1.0.1:9090/up b=10.1.0.2:9090/up",
		"greeter." + other.ns:           "far=10.2.0.1:8080/up",
		"greeter." + other.ns + ":http": "far=10.2.0.1:8080/up",
		"clock":                         "",
		"clock:ntp":                     "a=10.1.0.1:123/up",
		"nobody":                        "",
	} {
		see(t, d, service, want)
	}
	names, err := d.Services(t.Context())
	if err != nil || fmt.Sprint(names) != "[clock greeter greeter-2]" {
		t.Errorf("Services: %v, %v", names, err)
	}
	// A namespace of package discovery is one of Kubernetes.
	e := w.engine(servertest.KubeAdmin, nil)
	far, err := discovery.New(kubernetes.On(e), discovery.WithNamespace(other.ns))
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	see(t, far, "greeter", "far=10.2.0.1:8080/up")
	if names, err := far.Services(t.Context()); err != nil || fmt.Sprint(names) != "[greeter]" {
		t.Errorf("Services of the other namespace: %v, %v", names, err)
	}
	bad, err := discovery.New(kubernetes.On(e), discovery.WithNamespace("No_Namespace"))
	if err != nil {
		t.Fatal(err)
	}
	defer bad.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := bad.Get(ctx, "greeter"); err == nil {
		t.Error("a namespace that Kubernetes can't have")
	}
	if far.Close() != nil || e.Ping(t.Context()) != nil {
		t.Error("Close closed a shared engine")
	}
}

// What runs in pods registers by running: Register is refused without asking.
func TestReadOnlyByDefault(t *testing.T) {
	t.Parallel()
	d, err := discovery.New(kubernetes.Backend("https://127.0.0.1:1"), discovery.WithLazy())
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	_, err = d.Register(t.Context(), discovery.Instance{Service: "s", Address: "10.0.0.1:80"})
	if !errors.Is(err, discovery.ErrUnsupported) {
		t.Errorf("got %v, want ErrUnsupported", err)
	}
}

// Each right that something needs, and what happens without it.
func TestRights(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put("one", "greeter", oneHTTP, pod("a", "10.1.0.1", ready))
	read := servertest.KubeRule{Group: "discovery.k8s.io", Resources: []string{"endpointslices"}, Verbs: []string{"list", "watch"}}
	write := servertest.KubeRule{Group: "discovery.k8s.io", Resources: []string{"endpointslices"}, Verbs: []string{"get", "create", "update", "patch", "delete"}}
	podsToo := servertest.KubeRule{Resources: []string{"pods"}, Verbs: []string{"list", "watch"}}
	servicesToo := servertest.KubeRule{Resources: []string{"services"}, Verbs: []string{"list", "watch"}}
	account := 0
	open := func(rules []servertest.KubeRule, opts ...kubernetes.Option) (discovery.Discovery, error) {
		account++
		e := w.engine(w.k.Token(t, w.ns, fmt.Sprint("account-", account), rules...), nil)
		d, err := discovery.New(kubernetes.On(e, opts...), discovery.WithTimeout(30*time.Second))
		if err == nil {
			t.Cleanup(func() { d.Close() })
		}
		return d, err
	}
	for what, c := range map[string]struct {
		enough, less []servertest.KubeRule
		opts         []kubernetes.Option
		use          func(d discovery.Discovery, within time.Duration) error
	}{
		"Get": {[]servertest.KubeRule{read}, nil, nil, get},
		"Get, watching": {[]servertest.KubeRule{read},
			[]servertest.KubeRule{{Group: read.Group, Resources: read.Resources, Verbs: []string{"list"}}}, nil, followed},
		"pod labels":     {[]servertest.KubeRule{read, podsToo}, []servertest.KubeRule{read}, []kubernetes.Option{kubernetes.WithPodLabels()}, get},
		"service labels": {[]servertest.KubeRule{read, servicesToo}, []servertest.KubeRule{read}, []kubernetes.Option{kubernetes.WithServiceLabels()}, get},
		"Services":       {[]servertest.KubeRule{read}, nil, nil, func(d discovery.Discovery, _ time.Duration) error { _, err := d.Services(t.Context()); return err }},
		"Register": {[]servertest.KubeRule{read, write}, []servertest.KubeRule{read}, []kubernetes.Option{kubernetes.WithRegistration()}, func(d discovery.Discovery, _ time.Duration) error {
			r, err := d.Register(t.Context(), discovery.Instance{Service: "outside", Address: "192.0.2.1:80"})
			if err != nil {
				return err
			}
			return r.Deregister(t.Context())
		}},
	} {
		d, err := open(c.enough, c.opts...)
		if err == nil {
			err = c.use(d, 4*time.Second)
		}
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
		d, err = open(c.less, c.opts...)
		if err == nil {
			err = c.use(d, 30*time.Second)
		}
		if !errors.Is(err, discovery.ErrDenied) {
			t.Errorf("%s with less: %v, want ErrDenied", what, err)
		}
	}
}

// TestServicesLeaveOutWhatIsDenied: a namespace that was asked for in vain takes
// the list of the others from nobody.
func TestServicesLeaveOutWhatIsDenied(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put("one", "greeter", oneHTTP, pod("a", "10.1.0.1", ready))
	read := servertest.KubeRule{Group: "discovery.k8s.io", Resources: []string{"endpointslices"}, Verbs: []string{"list", "watch"}}
	d := w.open(w.engine(w.k.Token(t, w.ns, "reader", read), nil), kubernetes.WithTargets(kubernetes.ParseTarget))
	if _, err := d.Get(t.Context(), "greeter.kube-system"); !errors.Is(err, discovery.ErrDenied) {
		t.Errorf("Get of another namespace: %v, want ErrDenied", err)
	}
	if names, err := d.Services(t.Context()); err != nil || fmt.Sprint(names) != "[greeter]" {
		t.Errorf("Services: %v, %v, want [greeter]", names, err)
	}
}

func get(d discovery.Discovery, _ time.Duration) error {
	s, err := d.Get(context.Background(), "greeter")
	if err == nil && len(s.Instances) != 1 {
		err = errors.New(show(s))
	}
	return err
}

// followed waits until a watch is refused, or the time is over.
func followed(d discovery.Discovery, within time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	for s, err := range d.Watch(ctx, "greeter") {
		if err == nil && s.Err != nil {
			return s.Err
		}
	}
	return nil
}

func TestLabelsOfPodsAndServices(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	core := "/api/v1/namespaces/" + w.ns
	w.k.Do(t, http.MethodPost, core+"/services", `{"metadata":{"name":"greeter","labels":{"team":"one","tier":"web"}},"spec":{"ports":[{"port":80}]}}`)
	w.k.Do(t, http.MethodPost, core+"/pods", `{"metadata":{"name":"a","labels":{"app.kubernetes.io/version":"1.2.0","tier":"pod"}},"spec":{"containers":[{"name":"c","image":"i"}]}}`)
	w.put("one", "greeter", oneHTTP, pod("a", "10.1.0.1", ready), pod("unknown", "10.1.0.2", ready))
	await := func(d discovery.Discovery, want string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		var have string
		for s, err := range d.Watch(ctx, "greeter") {
			if err != nil {
				break
			}
			have = ""
			for _, in := range s.Instances {
				labels, _ := json.Marshal(in.Labels)
				have += in.ID + " " + in.Version + string(labels) + ";"
			}
			if have == want {
				return
			}
		}
		t.Fatalf("have %s, want %s", have, want)
	}
	both := w.admin(kubernetes.WithPodLabels(), kubernetes.WithServiceLabels())
	await(both, `a 1.2.0{"app.kubernetes.io/version":"1.2.0","team":"one","tier":"pod"};unknown {"team":"one","tier":"web"};`)
	onlyPods := w.admin(kubernetes.WithPodLabels())
	await(onlyPods, `a 1.2.0{"app.kubernetes.io/version":"1.2.0","tier":"pod"};unknown {};`)
	w.k.Do(t, http.MethodPatch, core+"/pods/a", `{"metadata":{"labels":{"app.kubernetes.io/version":"1.3.0"}}}`)
	w.k.Do(t, http.MethodPatch, core+"/services/greeter", `{"metadata":{"labels":{"team":"two"}}}`)
	await(both, `a 1.3.0{"app.kubernetes.io/version":"1.3.0","team":"two","tier":"pod"};unknown {"team":"two","tier":"web"};`)
	await(onlyPods, `a 1.3.0{"app.kubernetes.io/version":"1.3.0","tier":"pod"};unknown {};`)
}

// counting counts the watches that are made.
type counting struct {
	http.RoundTripper
	watches, lists *atomic.Int64
}

func (c counting) RoundTrip(r *http.Request) (*http.Response, error) {
	q := r.URL.Query()
	switch {
	case q.Get("watch") != "":
		c.watches.Add(1)
	case r.Method == http.MethodGet && q.Get("limit") != "1":
		c.lists.Add(1)
	}
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+servertest.KubeAdmin)
	return c.RoundTripper.RoundTrip(r)
}

// However many services are followed, by however many that share an engine, there
// is one watch.
func TestOneWatchForANamespace(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var watches, lists atomic.Int64
	e := w.engine("", func(rt http.RoundTripper) http.RoundTripper { return counting{rt, &watches, &lists} })
	one, two := w.open(e), w.open(e)
	for i := range 20 {
		w.put(fmt.Sprint("s-", i), fmt.Sprint("s-", i), oneHTTP, pod("a", "10.1.0.1", ready))
	}
	for i := range 20 {
		see(t, one, fmt.Sprint("s-", i), "a=10.1.0.1:8080/up")
		see(t, two, fmt.Sprint("s-", i), "a=10.1.0.1:8080/up")
	}
	w.slice(http.MethodPut, "s-3", "s-3", "IPv4", oneHTTP, pod("b", "10.1.0.2", ready))
	see(t, one, "s-3", "b=10.1.0.2:8080/up")
	see(t, two, "s-3", "b=10.1.0.2:8080/up")
	if n := watches.Load(); n != 1 {
		t.Errorf("%d watches, want 1", n)
	}
	if n := lists.Load(); n > 40 {
		t.Errorf("%d lists of 20 services in two Discoveries", n)
	}
	one.Close()
	two.Close()
	if err := e.Ping(t.Context()); err != nil {
		t.Errorf("the engine after Close of what stands on it: %v", err)
	}
}

// A registration is a slice that others can read as far as it can be one.
func TestWhatIsRegisteredIsASlice(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.admin(kubernetes.WithRegistration())
	reader := w.admin() // needs no option, and no right to write
	read := func() (all []struct {
		Metadata struct {
			Labels      map[string]string
			Annotations map[string]string
		}
		AddressType string
		Ports       []struct{ Port int }
		Endpoints   []struct {
			Addresses  []string
			Zone       string
			Conditions struct{ Ready, Serving, Terminating bool }
		}
	}) {
		var list struct{ Items json.RawMessage }
		err := json.Unmarshal([]byte(w.k.Do(t, http.MethodGet, fmt.Sprintf(slicesPath, w.ns), "")), &list)
		if err == nil {
			err = json.Unmarshal(list.Items, &all)
		}
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	for _, c := range []struct{ address, kind, published string }{
		{"192.0.2.1:80", "IPv4", "192.0.2.1"},
		{"[2001:db8::1]:80", "IPv6", "2001:db8::1"},
		{"db.example.com:80", "FQDN", "db.example.com"},
		{"127.0.0.1:80", "IPv4", ""},
		{"169.254.0.1:80", "IPv4", ""},
		{"[fe80::1]:80", "IPv6", ""},
		{"localhost:80", "FQDN", ""},
		{"Host.Example.Com:80", "FQDN", ""},
	} {
		r, err := d.Register(t.Context(), discovery.Instance{Service: "outside", ID: "x", Address: c.address, Zone: "zone-2", Weight: 3})
		if err != nil {
			t.Errorf("%s: %v", c.address, err)
			continue
		}
		see(t, reader, "outside", "x="+c.address+"/up")
		all := read()
		if len(all) != 1 || all[0].AddressType != c.kind || all[0].Metadata.Labels["kubernetes.io/service-name"] != "outside" || len(all[0].Ports) != 1 || all[0].Ports[0].Port != 80 {
			t.Fatalf("%s: %+v", c.address, all)
		}
		switch ends := all[0].Endpoints; {
		case c.published == "" && len(ends) > 0:
			t.Errorf("%s is published: %+v", c.address, ends)
		case c.published != "" && (len(ends) != 1 || ends[0].Addresses[0] != c.published || ends[0].Zone != "zone-2" || !ends[0].Conditions.Ready || ends[0].Conditions.Terminating):
			t.Errorf("%s: %+v", c.address, ends)
		}
		err = r.Update(t.Context(), func(in *discovery.Instance) { in.Status = discovery.Draining })
		if err != nil {
			t.Error(err)
		}
		see(t, reader, "outside", "x="+c.address+"/draining")
		if ends := read()[0].Endpoints; c.published != "" && (ends[0].Conditions.Ready || !ends[0].Conditions.Serving || !ends[0].Conditions.Terminating) {
			t.Errorf("%s, draining: %+v", c.address, ends)
		}
		err = r.Deregister(t.Context())
		if err != nil {
			t.Error(err)
		}
		see(t, reader, "outside", "")
	}
}

// A process that died leaves a slice, which others remove, so that it ends for
// readers of other kinds too. One that lives is left alone.
func TestWhatACrashedProcessLeftIsRemoved(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.admin(kubernetes.WithRegistration())
	began := time.Now()
	for id, opts := range map[string][]discovery.RegisterOption{"dies": {discovery.NoHeartbeat(), discovery.TTL(4 * time.Second)}, "lives": {discovery.TTL(time.Minute)}} {
		_, err := d.Register(t.Context(), discovery.Instance{Service: "s", ID: id, Address: "192.0.2.1:80"}, opts...)
		if err != nil {
			t.Fatal(err)
		}
	}
	text := w.k.Do(t, http.MethodGet, fmt.Sprintf(slicesPath, w.ns), "")
	if !strings.Contains(text, "dies") && time.Since(began) < 4*time.Second {
		t.Error("it was not there")
	}
	see(t, d, "s", "lives=192.0.2.1:80/up")
	for end := time.Now().Add(30 * time.Second); ; <-time.After(100 * time.Millisecond) {
		text := w.k.Do(t, http.MethodGet, fmt.Sprintf(slicesPath, w.ns), "")
		if !strings.Contains(text, "lives") {
			t.Fatal("the living one was removed")
		}
		if !strings.Contains(text, "dies") {
			break
		}
		if time.Now().After(end) {
			t.Fatal("it is there still")
		}
	}
}

// A slice that is ours by name and not by content belongs to somebody else.
func TestForeignSlicesAreLeftAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.admin(kubernetes.WithRegistration())
	r, err := d.Register(t.Context(), discovery.Instance{Service: "s", ID: "x", Address: "192.0.2.1:80"})
	if err != nil {
		t.Fatal(err)
	}
	var list struct {
		Items []struct{ Metadata struct{ Name string } }
	}
	err = json.Unmarshal([]byte(w.k.Do(t, http.MethodGet, fmt.Sprintf(slicesPath, w.ns), "")), &list)
	if err != nil || len(list.Items) != 1 {
		t.Fatal(list, err)
	}
	path := fmt.Sprintf(slicesPath, w.ns) + "/" + list.Items[0].Metadata.Name
	for _, patch := range []string{
		`{"metadata":{"annotations":{"go-platform/instance":"nonsense"}}}`,
		`{"metadata":{"annotations":{"go-platform/instance":null}}}`,
		`{"metadata":{"labels":{"endpointslice.kubernetes.io/managed-by":"someone"}}}`,
	} {
		w.k.Do(t, http.MethodPatch, path, patch)
		for end := time.Now().Add(30 * time.Second); !errors.Is(r.Err(), discovery.ErrExists); <-time.After(20 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("after %s: %v, want ErrExists", patch, r.Err())
			}
		}
	}
	if err := r.Deregister(t.Context()); err != nil {
		t.Error(err)
	}
	w.k.Do(t, http.MethodGet, path, "") // is there
}

// Pods' endpoints stay through an outage, whatever happens, and what happened is
// known after it.
func TestPodsStayThroughAnOutage(t *testing.T) {
	t.Parallel()
	k := servertest.Kubernetes(t)
	w := &world{t, k, k.Namespace(t)}
	w.put("one", "greeter", oneHTTP, pod("a", "10.1.0.1", ready), pod("b", "10.1.0.2", ready))
	w.put("two", "other", oneHTTP, pod("c", "10.1.0.3", ready))
	d := w.admin()
	see(t, d, "greeter", "a=10.1.0.1:8080/up b=10.1.0.2:8080/up")
	see(t, d, "other", "c=10.1.0.3:8080/up")
	ctx, cancel := context.WithCancel(t.Context())
	missed := make(chan string, 1)
	stale := make(chan bool, 1)
	go func() {
		defer close(missed)
		for s, err := range d.Watch(ctx, "other") {
			if err != nil {
				return
			}
			if show(s) != "c=10.1.0.3:8080/up" {
				missed <- show(s)
				return
			}
			if s.State == discovery.Stale {
				select {
				case stale <- true:
				default:
				}
			}
		}
	}()
	k.Kill()
	select {
	case <-stale:
	case <-time.After(30 * time.Second):
		t.Error("not stale")
	}
	k.Restart()
	w.slice(http.MethodPut, "one", "greeter", "IPv4", oneHTTP, pod("b", "10.1.0.2", ready))
	see(t, d, "greeter", "b=10.1.0.2:8080/up")
	see(t, d, "other", "c=10.1.0.3:8080/up")
	cancel()
	if have, ok := <-missed; ok {
		t.Errorf("other was [%s]", have)
	}
}

// A program that takes the registry's URL from a flag needs no switch, and equal
// URLs share an engine.
func TestPickedByURL(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put("one", "greeter", oneHTTP, pod("a", "10.1.0.1", ready))
	var set engines.Set
	defer set.Close()
	url := "kubeconfig:" + w.k.Kubeconfig(t, w.k.Addr(), servertest.KubeAdmin, w.ns)
	for range 2 {
		opts, err := engines.Options(&set, url, kubernetes.URL)
		if err != nil {
			t.Fatal(err)
		}
		d, err := discovery.New(opts...)
		if err != nil {
			t.Fatal(err)
		}
		see(t, d, "greeter", "a=10.1.0.1:8080/up")
		d.Close()
	}
	if _, err := engines.Options(&set, "etcd://h", kubernetes.URL); err == nil || !strings.Contains(err.Error(), "kubeconfig") {
		t.Errorf("another scheme: %v", err)
	}
}
