package main

import (
	"testing"

	"github.com/micro/go-platform/discovery"
	discoveryetcd "github.com/micro/go-platform/discovery/etcd"
	discoveryredis "github.com/micro/go-platform/discovery/redis"
	discoverysql "github.com/micro/go-platform/discovery/sql"
	"github.com/micro/go-platform/internal/servertest"
)

// registry opens a registry in this process, for what services do.
func registry(t *testing.T, ns, url string) discovery.Discovery {
	t.Helper()
	opts := backend(t, url, discoveryredis.URL, discoveryetcd.URL, discoverysql.URL)
	d, err := discovery.New(append(opts, discovery.WithNamespace(ns))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func register(t *testing.T, d discovery.Discovery, in discovery.Instance) discovery.Registration {
	t.Helper()
	r, err := d.Register(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestDiscovery(t *testing.T) {
	all := engines(t)
	for _, name := range []string{"redis", "etcd", "postgres"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ns := servertest.Namespace(t)
			d := registry(t, ns, all[name])
			s := newShell(t, "PLATFORM_DISCOVERY="+all[name], "PLATFORM_DISCOVERY_NAMESPACE="+ns)
			s.steps([]step{
				{"platform discovery list", "", "", 0},
				{"platform discovery list orders", "", "platform: no instances of \"orders\"\n", 1},
			})
			register(t, d, discovery.Instance{ID: "a", Service: "orders", Address: "10.0.0.1:80", Version: "v1", Zone: "x", Labels: map[string]string{"k": "v", "j": "w"}})
			b := register(t, d, discovery.Instance{ID: "b", Service: "orders", Address: "10.0.0.2:80", Version: "v2", Status: discovery.Starting})
			register(t, d, discovery.Instance{ID: "c", Service: "users", Address: "10.0.0.3:80"})
			s.steps([]step{
				{"platform discovery list", "orders\t1\t2\tv1,v2\tx\nusers\t1\t1\t\t\n", "", 0},
				{"platform discovery list -limit 1 -o json", `{"service":"orders","instances":2,"up":1,"versions":["v1","v2"],"zones":["x"]}` + "\n", "… more than 1; -limit 0 lists all\n", 0},
				{"platform discovery list orders", "a\t10.0.0.1:80\tup\tv1\tx\tj=w,k=v\nb\t10.0.0.2:80\tstarting\tv2\t\t\n", "", 0},
				{"platform discovery list users -o json", `{"id":"c","service":"users","address":"10.0.0.3:80"}` + "\n", "", 0},
				{"platform discovery list 'a b'", "", "platform: discovery/…invalid…\n", 2},
			})
			f := s.follow("platform discovery watch orders")
			f.await("new\ta\t10.0.0.1:80\t…new\tb\t10.0.0.2:80\tstarting\tv2\t\t\n")
			if err := b.Update(t.Context(), func(in *discovery.Instance) { in.Status = discovery.Up }); err != nil {
				t.Fatal(err)
			}
			f.await("…change\tb\t10.0.0.2:80\tup\tv2\t\t\n")
			if err := b.Deregister(t.Context()); err != nil {
				t.Fatal(err)
			}
			f.await("…gone\tb\t10.0.0.2:80\tup\tv2\t\t\n")
			f.interrupt()
		})
	}
}

// What Kubernetes knows of a Service is in EndpointSlices, which its controllers
// write; nobody registers there.
func TestDiscoveryOnKubernetes(t *testing.T) {
	t.Parallel()
	k := servertest.SharedKubernetes(t)
	ns := k.Namespace(t)
	slices := "/apis/discovery.k8s.io/v1/namespaces/" + ns + "/endpointslices"
	k.Do(t, "POST", slices, `{"metadata":{"name":"orders-x","labels":{"kubernetes.io/service-name":"orders","endpointslice.kubernetes.io/managed-by":"endpointslice-controller.k8s.io"}},
		"addressType":"IPv4","ports":[{"name":"http","port":8080}],"endpoints":[
		{"addresses":["10.0.0.1"],"conditions":{"ready":true},"zone":"a","targetRef":{"kind":"Pod","name":"orders-1"}},
		{"addresses":["10.0.0.2"],"conditions":{"ready":false,"serving":false},"targetRef":{"kind":"Pod","name":"orders-2"}}]}`)
	read := servertest.KubeRule{Group: "discovery.k8s.io", Resources: []string{"endpointslices"}, Verbs: []string{"list", "watch"}}
	s := newShell(t, "PLATFORM_DISCOVERY=kubeconfig:"+k.Kubeconfig(t, k.Addr(), k.Token(t, ns, "reader", read), ns))
	s.steps([]step{
		{"platform discovery list", "orders\t1\t2\t\ta\n", "", 0},
		{"platform discovery list orders", "orders-1\t10.0.0.1:8080\tup\t…orders-2\t10.0.0.2:8080\t…\n", "", 0},
		{"platform discovery list nothing", "", "platform: no instances of \"nothing\"\n", 1},
		{"platform router explain orders", "orders-1\t10.0.0.1:8080\t1\tyes\t\n…", "", 0},
		{"platform discovery list -discovery kubeconfig:" + k.Kubeconfig(t, k.Addr(), k.Token(t, ns, "nobody"), ns), "", "platform: discovery/kubernetes: …\n", 5},
	})
	f := s.follow("platform discovery watch orders")
	f.await("new\torders-1\t10.0.0.1:8080\t…")
	k.Do(t, "DELETE", slices+"/orders-x", "")
	f.await("…gone\torders-1\t10.0.0.1:8080\t…")
	f.interrupt()
}

func TestRouterExplain(t *testing.T) {
	t.Parallel()
	url := engines(t)["redis"]
	ns := servertest.Namespace(t)
	d := registry(t, ns, url)
	register(t, d, discovery.Instance{ID: "a", Service: "orders", Address: "10.0.0.1:80", Version: "v1"})
	register(t, d, discovery.Instance{ID: "b", Service: "orders", Address: "10.0.0.2:80", Version: "v2", Weight: 3, Labels: map[string]string{"tenant": "blue"}})
	s := newShell(t, "PLATFORM_DISCOVERY="+url, "PLATFORM_DISCOVERY_NAMESPACE="+ns, "PLATFORM_CONFIG=sqlite:x.db")
	s.file("rules.json", `[{"name":"canary","service":"orders","strict":true,"branches":[{"variant":"new","version":"v2","weight":100}]}]`)
	s.file("none.json", `[{"name":"gone","service":"orders","strict":true,"branches":[{"variant":"new","version":"v9","weight":100}]}]`)
	s.file("wrong.json", `[{"name":"canary","service":"orders"}]`)
	s.steps([]step{
		{"platform router explain orders", "a\t10.0.0.1:80\t1\tyes\t\nb\t10.0.0.2:80\t3\tyes\t\n", "", 0},
		{"platform router explain orders -label tenant=blue", "a\t…\tno\tlabels\nb\t…\tyes\t\n", "", 0},
		{"platform router explain orders -rules rules.json", "a\t…\tno\tlabels, or another branch of the rule\nb\t…\tyes\t\n", "", 0},
		{"platform router explain orders -rules none.json", "a\t…\tno\t…\nb\t…\tno\t…\n", "platform: router: none of 2 instances of \"orders\" matches …rule \"gone\"\n", 1},
		{"platform router explain orders -rules rules.json -o json", `{"service":"orders","strategy":…,"rule":"canary","variant":"new",…"known":2,"matching":1,…}` + "\n", "", 0},
		{"platform config set shop router.rules - < rules.json && platform router explain orders -document shop -key u", "…a\t…\tno\t…\nb\t…\tyes\t\n", "", 0},
		{"platform router explain orders -document shop -path nothing", "", "platform: shop has nothing at \"nothing\"\n", 1},
		{"platform router explain orders -rules wrong.json", "", "platform: wrong.json: …has no branches\n", 2},
		{"platform router explain orders -rules nothing.json", "", "platform: open nothing.json: no such file or directory\n", 2},
		{"platform router explain nothing", "", "platform: router…no instances…\n", 1},
	})
}
