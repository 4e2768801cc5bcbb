package kubernetes

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/micro/go-platform/internal/fault"
)

// execConfig names a program that has the credentials.
type execConfig struct {
	APIVersion string `yaml:"apiVersion"`
	Command    string
	Args       []string
	Env        []struct{ Name, Value string }
	Hint       string `yaml:"installHint"`
	Cluster    bool   `yaml:"provideClusterInfo"`
	Mode       string `yaml:"interactiveMode"`
}

// A plugin that hangs, or says no end, must not take the process with it.
const (
	pluginTime   = 30 * time.Second
	pluginOutput = 1 << 20
	// A token that ends within it is renewed before it is used.
	pluginMargin = 10 * time.Second
)

// plugin runs the program and remembers what it said until that expires:
// https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins
type plugin struct {
	execConfig
	info []byte // for KUBERNETES_EXEC_INFO

	mu      sync.Mutex
	have    bool
	bearer  string
	cert    *tls.Certificate
	expires time.Time // zero: never
	asked   time.Time
}

// execCredential is what the program reads and writes.
type execCredential struct {
	APIVersion string      `json:"apiVersion"`
	Kind       string      `json:"kind"`
	Spec       *execSpec   `json:"spec,omitempty"`
	Status     *execStatus `json:"status,omitempty"`
}

type execSpec struct {
	Interactive bool         `json:"interactive"`
	Cluster     *execCluster `json:"cluster,omitempty"`
}

type execCluster struct {
	Server        string `json:"server"`
	TLSServerName string `json:"tls-server-name,omitempty"`
	Insecure      bool   `json:"insecure-skip-tls-verify,omitempty"`
	CAData        string `json:"certificate-authority-data,omitempty"`
	ProxyURL      string `json:"proxy-url,omitempty"`
}

type execStatus struct {
	Expires time.Time `json:"expirationTimestamp"`
	Token   string    `json:"token"`
	Cert    string    `json:"clientCertificateData"`
	Key     string    `json:"clientKeyData"`
}

func newPlugin(e execConfig, c cluster) (*plugin, error) {
	switch {
	case e.Command == "":
		return nil, errors.New("exec has no command")
	case e.APIVersion != "client.authentication.k8s.io/v1" && e.APIVersion != "client.authentication.k8s.io/v1beta1":
		return nil, fmt.Errorf("exec has apiVersion %q, want client.authentication.k8s.io/v1 or v1beta1", e.APIVersion)
	case e.Mode == "Always":
		return nil, fmt.Errorf("exec %s wants a terminal, which services don't have", e.Command)
	}
	ask := execCredential{APIVersion: e.APIVersion, Kind: "ExecCredential", Spec: &execSpec{}}
	if e.Cluster {
		ca, err := dataOrFile(c.CAData, c.CAFile)
		if err != nil {
			return nil, err
		}
		ask.Spec.Cluster = &execCluster{Server: c.Server, TLSServerName: c.TLSServerName, Insecure: c.Insecure, CAData: base64.StdEncoding.EncodeToString(ca), ProxyURL: c.ProxyURL}
	}
	info, err := json.Marshal(ask)
	return &plugin{execConfig: e, info: info}, err
}

func (p *plugin) token(ctx context.Context, fresh bool) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.renew(ctx, fresh); err != nil {
		return "", err
	}
	return p.bearer, nil
}

// certificate is for the handshake; none is a valid answer.
func (p *plugin) certificate(r *tls.CertificateRequestInfo) (*tls.Certificate, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.renew(r.Context(), false); err != nil {
		return nil, err
	}
	if p.cert == nil {
		return &tls.Certificate{}, nil
	}
	return p.cert, nil
}

// renew runs the program if what it said last has expired or was refused. A
// refusal within a moment of the last run does not run it again: many requests
// are refused at once. Called with p.mu held.
func (p *plugin) renew(ctx context.Context, fresh bool) error {
	now := time.Now()
	good := p.have && (p.expires.IsZero() || now.Add(pluginMargin).Before(p.expires))
	if good && (!fresh || now.Sub(p.asked) < time.Second) {
		return nil
	}
	status, err := p.run(ctx)
	if err != nil {
		if p.Hint != "" {
			err = fmt.Errorf("%w (%s)", err, p.Hint)
		}
		return fault.Markf(fault.Denied, "exec %s: %w", p.Command, err)
	}
	p.have, p.asked, p.bearer, p.expires, p.cert = true, time.Now(), status.Token, status.Expires, nil
	if status.Cert != "" {
		pair, err := tls.X509KeyPair([]byte(status.Cert), []byte(status.Key))
		if err != nil {
			p.have = false
			return fault.Markf(fault.Denied, "exec %s: its certificate: %w", p.Command, err)
		}
		p.cert = &pair
	}
	return nil
}

// run runs the program once. What it writes to standard error goes into no
// error: it may be a secret.
func (p *plugin) run(ctx context.Context) (*execStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, pluginTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, p.Command, p.Args...)
	cmd.Env = append(os.Environ(), "KUBERNETES_EXEC_INFO="+string(p.info))
	for _, v := range p.Env {
		cmd.Env = append(cmd.Env, v.Name+"="+v.Value)
	}
	var out bounded
	cmd.Stdout = &out
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, err
	}
	var got execCredential
	switch err := json.Unmarshal(out.Bytes(), &got); {
	case out.over:
		return nil, fmt.Errorf("it wrote more than %d bytes", pluginOutput)
	case err != nil:
		return nil, errors.New("its output is no ExecCredential")
	case got.Kind != "ExecCredential" || got.APIVersion != p.APIVersion:
		return nil, fmt.Errorf("it answered as %s of %s, want ExecCredential of %s", got.Kind, got.APIVersion, p.APIVersion)
	case got.Status == nil || got.Status.Token == "" && got.Status.Cert == "":
		return nil, errors.New("its answer has no credentials")
	case (got.Status.Cert == "") != (got.Status.Key == ""):
		return nil, errors.New("its answer has a certificate or a key without the other")
	}
	got.Status.Token = strings.TrimSpace(got.Status.Token)
	if err := checkToken(got.Status.Token); err != nil {
		return nil, err
	}
	return got.Status, nil
}

// bounded keeps the first bytes.
type bounded struct {
	bytes.Buffer
	over bool
}

func (b *bounded) Write(p []byte) (int, error) {
	if room := pluginOutput - b.Len(); len(p) > room {
		b.over = true
		b.Buffer.Write(p[:room])
		return len(p), nil
	}
	return b.Buffer.Write(p)
}
