package servertest

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// KubeServer is Kubernetes' API server without a cluster behind it: no controller runs, so that
// objects are what the test writes. It decides by RBAC and serves TLS only.
type KubeServer struct{ *Server }

// KubeAdmin is the token of a user who may do everything.
const KubeAdmin = "servertest-admin"

// Kubernetes starts an API server on the test binary's etcd, under a prefix of its own, so that it
// keeps its data over Restart. With [WithEtcd] several are one cluster.
func Kubernetes(t testing.TB, opts ...Option) *KubeServer {
	t.Helper()
	return &KubeServer{kubernetes(t, opts...)}
}

// SharedKubernetes returns the test binary's API server. A test works in a namespace of its own,
// see [KubeServer.Namespace].
func SharedKubernetes(t testing.TB) *KubeServer {
	t.Helper()
	return &KubeServer{share(t, "kubernetes", kubernetes)}
}

func kubernetes(t testing.TB, opts ...Option) *Server {
	t.Helper()
	o := collect(opts)
	sp := spec{
		name: "kubernetes", part: "kubernetes", program: "kube-apiserver", ports: []string{"https"}, dsn: "https://%s",
		prepare: prepareKubernetes,
		ready:   func(s *Server) error { return (&KubeServer{s}).ready() },
		limit:   3 * time.Minute, // it takes seconds of processor time
	}
	if err := installed(sp); err != nil {
		missing(t, sp.name, sp.part, err)
	}
	etcd, prefix := o.etcd, "/registry"
	if etcd == nil {
		etcd, prefix = SharedEtcd(t), "/"+Namespace(t)
	}
	sp.args = func(s *Server) []string {
		file := func(name string) string { return filepath.Join(s.dir, name) }
		return []string{
			"--etcd-servers=http://" + etcd.Addr(), "--etcd-prefix=" + prefix,
			fmt.Sprintf("--secure-port=%d", s.Port("https")), "--bind-address=127.0.0.1",
			"--tls-cert-file=" + file("certs/server.pem"), "--tls-private-key-file=" + file("certs/server-key.pem"), "--client-ca-file=" + file("certs/ca.pem"),
			"--token-auth-file=" + file("tokens.csv"), "--authorization-mode=RBAC",
			"--service-account-issuer=https://kubernetes.default.svc", "--service-account-key-file=" + file("sa.pub"), "--service-account-signing-key-file=" + file("sa.key"),
			// The address that the default Service would lead to. No kubelet and no proxy asks for it.
			"--service-cluster-ip-range=10.0.0.0/24", "--advertise-address=192.0.2.1", "--endpoint-reconciler-type=none",
			"--disable-admission-plugins=ServiceAccount", "--shutdown-delay-duration=0",
		}
	}
	return start(t, o, sp)
}

// prepareKubernetes writes certificates, the keys of service accounts' tokens and the admin's token.
func prepareKubernetes(s *Server) error {
	dir := filepath.Join(s.dir, "certs")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	if _, err := newCerts(dir); err != nil {
		return err
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return err
	}
	err = errors.Join(
		writePEM(filepath.Join(s.dir, "sa.key"), "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key)),
		writePEM(filepath.Join(s.dir, "sa.pub"), "PUBLIC KEY", public))
	if err != nil {
		return err
	}
	return write(s.dir, "tokens.csv", KubeAdmin+`,admin,1,"system:masters"`+"\n")
}

// ready asks whether the server says that it is, and for the namespace that it makes last.
func (k *KubeServer) ready() error {
	if _, err := k.request(http.MethodGet, "/readyz", ""); err != nil {
		return err
	}
	_, err := k.request(http.MethodGet, "/api/v1/namespaces/default", "")
	return err
}

// URL returns the server's address as a kubeconfig has it.
func (k *KubeServer) URL() string { return k.DSN() }

// CAFile returns the file of the authority that signed the server's certificate.
func (k *KubeServer) CAFile() string { return filepath.Join(k.Dir(), "certs/ca.pem") }

// ClientCert returns the files of a certificate, and of its key, by which the server knows the
// user "client", who may do nothing unless it is allowed.
func (k *KubeServer) ClientCert() (cert, key string) {
	return filepath.Join(k.Dir(), "certs/client.pem"), filepath.Join(k.Dir(), "certs/client-key.pem")
}

// Namespace creates a namespace for the test. It stays: no controller would empty it.
func (k *KubeServer) Namespace(t testing.TB) string {
	t.Helper()
	name := strings.Trim(Namespace(t), "-")
	k.Do(t, http.MethodPost, "/api/v1/namespaces", `{"metadata":{"name":"`+name+`"}}`)
	return name
}

// Do sends a request as admin and returns the answer's body. What isn't done fails the test. A
// PATCH is a merge patch.
func (k *KubeServer) Do(t testing.TB, method, path, body string) string {
	t.Helper()
	b, err := k.request(method, path, body)
	if err != nil {
		t.Fatalf("servertest: %v\n%s", err, k.Log())
	}
	return b
}

// A KubeRule allows verbs on resources of an API group, as in a Role; "" is the core group. No
// Names means all objects.
type KubeRule struct {
	Group     string   `json:"-"`
	Resources []string `json:"resources"`
	Verbs     []string `json:"verbs"`
	Names     []string `json:"resourceNames,omitempty"`
}

// Token creates a service account that may do what rules say within its namespace, and nothing
// else, and returns a token of it.
func (k *KubeServer) Token(t testing.TB, namespace, account string, rules ...KubeRule) string {
	t.Helper()
	in := func(group, resource string) string {
		return "/" + group + "/namespaces/" + namespace + "/" + resource
	}
	meta := map[string]any{"name": account}
	k.Do(t, http.MethodPost, in("api/v1", "serviceaccounts"), encode(t, map[string]any{"metadata": meta}))
	if len(rules) > 0 {
		k.allow(t, namespace, account, rules)
	}
	answer := k.Do(t, http.MethodPost, in("api/v1", "serviceaccounts/"+account+"/token"), `{"spec":{"expirationSeconds":3600}}`)
	var request struct{ Status struct{ Token string } }
	if err := json.Unmarshal([]byte(answer), &request); err != nil || request.Status.Token == "" {
		t.Fatalf("servertest: no token for %s/%s: %v", namespace, account, err)
	}
	return request.Status.Token
}

// allow gives a service account a role of its own.
func (k *KubeServer) allow(t testing.TB, namespace, account string, rules []KubeRule) {
	t.Helper()
	const api = "rbac.authorization.k8s.io"
	type rule struct {
		KubeRule
		Groups []string `json:"apiGroups"`
	}
	var all []rule
	for _, r := range rules {
		all = append(all, rule{r, []string{r.Group}})
	}
	path := "/apis/" + api + "/v1/namespaces/" + namespace + "/"
	meta := map[string]any{"name": account}
	k.Do(t, http.MethodPost, path+"roles", encode(t, map[string]any{"metadata": meta, "rules": all}))
	k.Do(t, http.MethodPost, path+"rolebindings", encode(t, map[string]any{
		"metadata": meta,
		"roleRef":  map[string]any{"apiGroup": api, "kind": "Role", "name": account},
		"subjects": []any{map[string]any{"kind": "ServiceAccount", "name": account, "namespace": namespace}},
	}))
}

// Kubeconfig writes a kubeconfig for a token and a namespace and returns its path. The address is
// the server's, or host:port of what stands before it.
func (k *KubeServer) Kubeconfig(t testing.TB, addr, token, namespace string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	config := map[string]any{
		"apiVersion": "v1", "kind": "Config", "current-context": "test",
		"clusters": []any{map[string]any{"name": "test", "cluster": map[string]any{"server": "https://" + addr, "certificate-authority": k.CAFile()}}},
		"users":    []any{map[string]any{"name": "test", "user": map[string]any{"token": token}}},
		"contexts": []any{map[string]any{"name": "test", "context": map[string]any{"cluster": "test", "user": "test", "namespace": namespace}}},
	}
	if err := os.WriteFile(path, []byte(encode(t, config)), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func encode(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// request returns the body of a successful answer to admin.
func (k *KubeServer) request(method, path, body string) (string, error) {
	ca, err := os.ReadFile(k.CAFile())
	if err != nil {
		return "", err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, k.URL()+path, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set("Authorization", "Bearer "+KubeAdmin)
	req.Header.Set("Content-Type", "application/json")
	if method == http.MethodPatch {
		req.Header.Set("Content-Type", "application/merge-patch+json")
	}
	return roundTrip(req, &tls.Config{RootCAs: roots})
}
