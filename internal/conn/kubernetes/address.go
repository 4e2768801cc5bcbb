package kubernetes

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/micro/go-platform/internal/conn"
	"github.com/micro/go-platform/internal/fault"
)

// target is what an address and the files that it names say.
type target struct {
	base      url.URL
	namespace string
	tls       *tls.Config
	creds     credentials
	headers   http.Header
	proxy     *url.URL
}

// Where a kubelet puts a pod's identity.
const serviceAccount = "/var/run/secrets/kubernetes.io/serviceaccount"

// inCluster is the host of an address that means the cluster in which this runs.
const inCluster = "in-cluster"

var schemes = []conn.Scheme{{Name: "kubernetes", Port: 443}, {Name: "https", Port: 443}, {Name: "http", Port: 80}}

// find reads the address, which is one of
//
//	in-cluster, kubernetes://in-cluster      the pod's service account
//	kubeconfig:/path, kubeconfig:            a file; $KUBECONFIG or ~/.kube/config
//	https://host:6443, kubernetes://…, host  with a token or certificates of the options
//	http://127.0.0.1:8001                    kubectl proxy
//
// The forms with a scheme may end with ?namespace=x, kubeconfig's with &context=y too.
func find(c Config) (t target, err error) {
	switch addr := c.Address; {
	case c.Client != nil:
		t, err = direct(c.URL, c.pod)
	case addr == inCluster:
		t, err = ofPod(c.pod)
	case strings.HasPrefix(addr, "kubeconfig:"):
		t, err = ofFile(addr)
	default:
		t, err = direct(addr, c.pod)
	}
	if err != nil {
		return target{}, err
	}
	return t, t.override(c)
}

// override puts what the options say in place of what was found.
func (t *target) override(c Config) error {
	if c.Token != "" && c.TokenFile != "" {
		return fault.Markf(fault.Invalid, "a token and a file with one")
	}
	t.namespace = cmp.Or(c.Namespace, t.namespace, "default")
	if err := ValidNamespace(t.namespace); err != nil {
		return err
	}
	if c.Token != "" {
		if err := checkToken(c.Token); err != nil {
			return fault.Mark(fault.Invalid, err)
		}
		t.creds = fixedToken(c.Token)
	}
	if c.TokenFile != "" {
		t.creds = &fileToken{path: c.TokenFile}
	}
	if c.TLS != nil {
		if t.base.Scheme != "https" {
			return fault.Markf(fault.Invalid, "TLS is configured, but the address %s says http", t.base.Redacted())
		}
		t.tls = c.TLS
	}
	_, anonymous := t.creds.(noToken)
	if !anonymous && t.base.Scheme == "http" && !loopback(t.base.Hostname()) {
		return fault.Markf(fault.Invalid, "a token would go in clear to %s: use https", t.base.Redacted())
	}
	return nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// direct reads an address that names a host.
func direct(addr, pod string) (target, error) {
	a, err := conn.Parse(addr, schemes...)
	if err != nil {
		return target{}, fault.Mark(fault.Invalid, err)
	}
	namespace, err := parameters(addr, a.Query, "namespace")
	if err != nil {
		return target{}, err
	}
	if a.HasUser {
		return target{}, fault.Markf(fault.Invalid, "address %q has a user: an API server takes tokens and certificates", conn.Redact(addr))
	}
	if a.Scheme == "kubernetes" && a.Host == inCluster {
		t, err := ofPod(pod)
		t.namespace = cmp.Or(namespace["namespace"], t.namespace)
		return t, err
	}
	t := target{namespace: namespace["namespace"], creds: noToken{}}
	t.base = url.URL{Scheme: "https", Host: a.HostPort(), Path: strings.TrimSuffix("/"+a.Path, "/")}
	if a.Scheme == "http" {
		t.base.Scheme = "http"
	}
	return t, nil
}

// parameters returns those of a URL, which must be among the known.
func parameters(addr string, q url.Values, known ...string) (map[string]string, error) {
	found := map[string]string{}
	for name, values := range q {
		if len(values) != 1 || !slices.Contains(known, name) {
			return nil, fault.Markf(fault.Invalid, "address %q: want at most the parameters %s, once each", conn.Redact(addr), strings.Join(known, ", "))
		}
		found[name] = values[0]
	}
	return found, nil
}

// ofPod reads what a kubelet has put into a pod.
func ofPod(dir string) (target, error) {
	dir = cmp.Or(dir, serviceAccount)
	host, port := os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT")
	if host == "" || port == "" {
		return target{}, fault.Markf(fault.Invalid, "not in a cluster: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set")
	}
	t := target{base: url.URL{Scheme: "https", Host: net.JoinHostPort(host, port)}}
	token := &fileToken{path: filepath.Join(dir, "token")}
	_, err := token.token(context.Background(), true)
	if err != nil {
		return target{}, fault.Markf(fault.Invalid, "not in a cluster, or the pod has no service account: %w", err)
	}
	t.creds = token
	ca, err := os.ReadFile(filepath.Join(dir, "ca.crt"))
	if err != nil {
		return target{}, fault.Mark(fault.Invalid, err)
	}
	t.tls, err = trusting(ca)
	if err != nil {
		return target{}, fault.Mark(fault.Invalid, err)
	}
	namespace, err := os.ReadFile(filepath.Join(dir, "namespace"))
	if err == nil {
		t.namespace = strings.TrimSpace(string(namespace))
	}
	return t, nil
}

// trusting returns a configuration that trusts one set of certificates.
func trusting(ca []byte) (*tls.Config, error) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		return nil, errors.New("the certificate authority holds no certificate in PEM form")
	}
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, nil
}

// ValidNamespace checks a name of a namespace (RFC 1123 label).
func ValidNamespace(name string) error {
	if len(name) > 63 || !label(name) {
		return fault.Markf(fault.Invalid, "Kubernetes namespace %q: want 1 to 63 of a-z, 0-9 and -, with a letter or digit at both ends", name)
	}
	return nil
}

// label reports whether s is a label of RFC 1123 in lower case, of any length.
func label(s string) bool {
	odd := func(r rune) bool { return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-') }
	return s != "" && s[0] != '-' && s[len(s)-1] != '-' && !strings.ContainsFunc(s, odd)
}

// ValidName checks a name of an object that becomes part of a path: a subdomain
// of RFC 1123.
func ValidName(name string) error {
	ok := len(name) <= 253
	for part := range strings.SplitSeq(name, ".") {
		ok = ok && label(part)
	}
	if !ok {
		return fault.Markf(fault.Invalid, "Kubernetes name %q: want 1 to 253 of a-z, 0-9, - and ., with a letter or digit at both ends", fmt.Sprintf("%.260s", name))
	}
	return nil
}
