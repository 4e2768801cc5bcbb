package servertest

import (
	"net/http"
	"os"
	"strings"
	"testing"
)

// Two servers on one etcd are one cluster, and each comes back with what it had. It is one test, since
// a server takes seconds of processor time to start.
func TestKubernetesServers(t *testing.T) {
	t.Parallel()
	etcd := Etcd(t)
	var k *KubeServer
	timed(t, "ready", func() { k = Kubernetes(t, WithEtcd(etcd)) })
	ns := k.Namespace(t)
	k.Do(t, http.MethodPost, "/api/v1/namespaces/"+ns+"/configmaps", `{"metadata":{"name":"kept"},"data":{"a":"1"}}`)
	other := Kubernetes(t, WithEtcd(etcd))
	other.Do(t, http.MethodGet, "/api/v1/namespaces/"+ns, "")
	if _, err := SharedKubernetes(t).request(http.MethodGet, "/api/v1/namespaces/"+ns, ""); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("a namespace of another cluster: got %v, want 404", err)
	}
	addr, pid := k.Addr(), k.PID()
	k.Kill()
	if _, err := k.request(http.MethodGet, "/readyz", ""); err == nil {
		t.Error("it answers after Kill")
	}
	timed(t, "killed and ready again", k.Restart)
	if k.Addr() != addr || k.PID() == pid {
		t.Errorf("after Restart: got process %d at %s, want another than %d at %s", k.PID(), k.Addr(), pid, addr)
	}
	if got := k.Do(t, http.MethodGet, "/api/v1/namespaces/"+ns+"/configmaps/kept", ""); !strings.Contains(got, `"a":"1"`) {
		t.Errorf("after Restart: got %s, want the object made before", got)
	}
	timed(t, "stopped", k.Stop)
}

func TestKubernetesTokensMayDoWhatTheirRulesSay(t *testing.T) {
	t.Parallel()
	k := SharedKubernetes(t)
	ns := k.Namespace(t)
	token := k.Token(t, ns, "reader", KubeRule{Resources: []string{"configmaps"}, Verbs: []string{"get", "list"}, Names: []string{"mine"}})
	if token == k.Token(t, ns, "nobody") {
		t.Error("two accounts have one token")
	}
	for _, test := range []struct {
		as, verb, resource, name string
		want                     string
	}{
		{"reader", "get", "configmaps", "mine", "true"},
		{"reader", "get", "configmaps", "other", "false"},
		{"reader", "update", "configmaps", "mine", "false"},
		{"reader", "get", "secrets", "mine", "false"},
		{"nobody", "get", "configmaps", "mine", "false"},
	} {
		got := k.Do(t, http.MethodPost, "/apis/authorization.k8s.io/v1/subjectaccessreviews", encode(t, map[string]any{"spec": map[string]any{
			"user":               "system:serviceaccount:" + ns + ":" + test.as,
			"resourceAttributes": map[string]any{"namespace": ns, "verb": test.verb, "resource": test.resource, "name": test.name},
		}}))
		if !strings.Contains(got, `"allowed":`+test.want) {
			t.Errorf("%s, %s %s/%s: got %s, want allowed: %s", test.as, test.verb, test.resource, test.name, got, test.want)
		}
	}
	b, err := os.ReadFile(k.Kubeconfig(t, k.Addr(), token, ns))
	if err != nil || !strings.Contains(string(b), token) || !strings.Contains(string(b), k.URL()) {
		t.Errorf("kubeconfig %s, %v: want the token and %s", b, err, k.URL())
	}
}
