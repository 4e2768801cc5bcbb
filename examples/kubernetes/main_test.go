package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	examples "github.com/micro/go-platform/examples/internal/trial"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/servertest"
	"go.yaml.in/yaml/v3"
)

func TestMain(m *testing.M) { leak.Main(m) }

const manifest = "../../deploy/kubernetes/greeter.yaml"

// object is one of the manifest.
type object = map[string]any

func objects(t *testing.T) (all []object) {
	t.Helper()
	text, err := os.ReadFile(manifest)
	if err != nil {
		t.Fatal(err)
	}
	for d := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var o object
		err := d.Decode(&o)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, o)
	}
}

// paths are where kinds of objects are created.
var paths = map[string]string{
	"ServiceAccount": "/api/v1/namespaces/%s/serviceaccounts", "ConfigMap": "/api/v1/namespaces/%s/configmaps", "Service": "/api/v1/namespaces/%s/services",
	"Role": "/apis/rbac.authorization.k8s.io/v1/namespaces/%s/roles", "RoleBinding": "/apis/rbac.authorization.k8s.io/v1/namespaces/%s/rolebindings",
	"Deployment": "/apis/apps/v1/namespaces/%s/deployments", "PodDisruptionBudget": "/apis/policy/v1/namespaces/%s/poddisruptionbudgets",
}

// trial is the manifest in a namespace of its own, where the test is Kubernetes'
// controllers, and a process of the service in it.
type trial struct {
	t     *testing.T
	k     *servertest.KubeServer
	ns    string
	addr  string
	try   bool     // what the service says to try
	fails []string // words of what is to fail
	end   context.CancelFunc
	done  chan error
}

// apply creates every object of the manifest; change may change one before.
func apply(t *testing.T, change func(o object)) *trial {
	t.Helper()
	k := servertest.SharedKubernetes(t)
	tr := &trial{t: t, k: k, ns: k.Namespace(t)}
	for _, o := range objects(t) {
		kind := o["kind"].(string)
		if change != nil {
			change(o)
		}
		if kind == "RoleBinding" {
			for _, s := range o["subjects"].([]any) {
				s.(object)["namespace"] = tr.ns // as kubectl -n does
			}
		}
		path := paths[kind]
		if path == "" {
			t.Fatalf("a %s in the manifest", kind)
		}
		// Strict: a field that the server doesn't know is an error.
		k.Do(t, http.MethodPost, fmt.Sprintf(path, tr.ns)+"?fieldValidation=Strict", encode(t, o))
	}
	tr.lease()
	tr.slice("POST", "10.1.0.1")
	return tr
}

func encode(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// lease makes that of the election, as another candidate does that leads.
func (tr *trial) lease() {
	tr.t.Helper()
	at := time.Now().UTC().Format("2006-01-02T15:04:05.000000Z07:00")
	spec := object{"holderIdentity": "another", "leaseDurationSeconds": 600, "acquireTime": at, "renewTime": at, "leaseTransitions": 1}
	tr.k.Do(tr.t, http.MethodPost, "/apis/coordination.k8s.io/v1/namespaces/"+tr.ns+"/leases", encode(tr.t, object{"metadata": object{"name": "greeter"}, "spec": spec}))
}

// slice makes or changes the Service's endpoints, as the controller does.
func (tr *trial) slice(method string, ips ...string) {
	tr.t.Helper()
	var endpoints []object
	for _, ip := range ips {
		endpoints = append(endpoints, object{"addresses": []string{ip}, "conditions": object{"ready": true}, "zone": "zone-1", "targetRef": object{"kind": "Pod", "name": "greeter-" + ip[len(ip)-1:]}})
	}
	path := "/apis/discovery.k8s.io/v1/namespaces/" + tr.ns + "/endpointslices"
	if method != http.MethodPost {
		path += "/greeter-1"
	}
	tr.k.Do(tr.t, method, path, encode(tr.t, object{
		"metadata":    object{"name": "greeter-1", "labels": object{"kubernetes.io/service-name": "greeter", "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"}},
		"addressType": "IPv4", "ports": []object{{"name": "http", "port": 8080}}, "endpoints": endpoints,
	}))
}

// start runs the service as the manifest's service account.
func (tr *trial) start() {
	tr.t.Helper()
	answer := tr.k.Do(tr.t, http.MethodPost, "/api/v1/namespaces/"+tr.ns+"/serviceaccounts/greeter/token", `{"spec":{"expirationSeconds":3600}}`)
	var token struct{ Status struct{ Token string } }
	err := json.Unmarshal([]byte(answer), &token)
	if err != nil {
		tr.t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tr.t.Fatal(err)
	}
	tr.addr = l.Addr().String()
	l.Close()
	ctx, cancel := context.WithCancel(tr.t.Context())
	tr.end, tr.done = cancel, make(chan error, 1)
	cluster := "kubeconfig:" + tr.k.Kubeconfig(tr.t, tr.k.Addr(), token.Status.Token, tr.ns)
	go func() { tr.done <- run(ctx, tr.addr, cluster, "greeter-1") }()
	tr.t.Cleanup(cancel)
}

// get asks the service.
func (tr *trial) get(path string) string {
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 30 * time.Second}
	resp, err := c.Get("http://" + tr.addr + path)
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	return string(b)
}

// see reports an error unless the service answers as wanted within a time, which
// is short for what is to fail.
func (tr *trial) see(path, want string) error {
	have, within := "", 30*time.Second
	if slices.ContainsFunc(tr.fails, func(w string) bool { return strings.Contains(path, w) }) {
		within = 4 * time.Second
	}
	for end := time.Now().Add(within); time.Now().Before(end); <-time.After(20 * time.Millisecond) {
		have = tr.get(path)
		if have == want {
			return nil
		}
		select {
		case err := <-tr.done:
			tr.done <- err
			return fmt.Errorf("the service ended: %w", err)
		default:
		}
	}
	return fmt.Errorf("%s: have %q, want %q", path, have, want)
}

// works goes through all that the service does.
func (tr *trial) works() error {
	tr.start()
	for _, probe := range []string{"/startupz", "/livez", "/readyz"} {
		if err := tr.see(probe, "ok\n"); err != nil {
			return err
		}
	}
	if err := tr.see("/hello/Ada", "Hello, Ada\n"); err != nil {
		return err
	}
	if err := tr.see("/neighbours", "live <nil>\ngreeter-1 10.1.0.1:8080 zone-1 up\n"); err != nil {
		return err
	}
	if tr.try {
		examples.Curl(tr.t, about(tr.addr, "in-cluster"), "Hello, Ada", "greeter-1 10.1.0.1:8080", "candidate")
	}
	tr.slice("PUT", "10.1.0.1", "10.1.0.2")
	two := "live <nil>\ngreeter-1 10.1.0.1:8080 zone-1 up\ngreeter-2 10.1.0.2:8080 zone-1 up\n"
	if err := tr.see("/neighbours", two); err != nil {
		return err
	}
	for range 20 { // it stays live: without a watch it is so for moments
		if have := tr.get("/neighbours"); have != two {
			return fmt.Errorf("neighbours are %q", have)
		}
		<-time.After(20 * time.Millisecond)
	}
	tr.k.Do(tr.t, http.MethodPatch, "/api/v1/namespaces/"+tr.ns+"/configmaps/greeter", `{"data":{"greeting":"Servus"}}`)
	if err := tr.see("/hello/Ada", "Servus, Ada\n"); err != nil {
		return err
	}
	if err := tr.see("/leads", "candidate\n"); err != nil {
		return err
	}
	lease := "/apis/coordination.k8s.io/v1/namespaces/" + tr.ns + "/leases/greeter"
	tr.k.Do(tr.t, http.MethodDelete, lease, "") // the other one is gone
	if err := tr.see("/leads", "elected\n"); err != nil {
		return err
	}
	tr.end()
	if err := <-tr.done; err != nil {
		return fmt.Errorf("leads, or anything else, ended with %w", err)
	}
	tr.done <- nil
	if text := tr.k.Do(tr.t, http.MethodGet, lease, ""); strings.Contains(text, `"holderIdentity":"greeter-1`) {
		return fmt.Errorf("leads still: %s", text)
	}
	return nil
}

// The whole manifest is taken by a real API server, and its service account may
// do all that the service does.
func TestTheManifestIsEnough(t *testing.T) {
	t.Parallel()
	tr := apply(t, nil)
	tr.try = true
	if err := tr.works(); err != nil {
		t.Fatal(err)
	}
}

// fails is what fails without a right on a resource.
var fails = map[string]string{"endpointslices": "neighbours discovery", "configmaps": "hello config", "leases": "leads sync"}

// Without any one of its rights the service does not do what it does.
func TestNoRightIsTooMuch(t *testing.T) {
	t.Parallel()
	tried := 0
	for _, o := range objects(t) {
		if o["kind"] != "Role" {
			continue
		}
		for i, r := range o["rules"].([]any) {
			rule := r.(object)
			for _, verb := range rule["verbs"].([]any) {
				resource := rule["resources"].([]any)[0].(string)
				if verb == "watch" && resource != "endpointslices" {
					continue // what can't be watched is read again and again: later, and at a cost, but it works
				}
				tried++
				t.Run(fmt.Sprint(verb, "-", resource), func(t *testing.T) {
					t.Parallel()
					tr := apply(t, func(o object) {
						if o["kind"] == "Role" {
							less := o["rules"].([]any)[i].(object)
							less["verbs"] = slices.DeleteFunc(less["verbs"].([]any), func(v any) bool { return v == verb })
							if len(less["verbs"].([]any)) == 0 {
								o["rules"] = slices.Delete(o["rules"].([]any), i, i+1)
							}
						}
					})
					tr.fails = strings.Fields(fails[resource])
					err := tr.works()
					if err == nil || !slices.ContainsFunc(tr.fails, func(w string) bool { return strings.Contains(err.Error(), w) }) {
						t.Errorf("without: %v", err)
					}
					tr.end()
					<-tr.done
				})
			}
		}
	}
	if tried < 9 {
		t.Errorf("tried %d rights only", tried)
	}
}
