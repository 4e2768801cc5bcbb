package kubernetes

import (
	"cmp"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/micro/go-platform/internal/conn"
	"github.com/micro/go-platform/internal/fault"
	"go.yaml.in/yaml/v3"
)

// kubeconfig is what of such a file is read here. Its form is that of
// https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/.
type kubeconfig struct {
	CurrentContext string `yaml:"current-context"`
	Contexts       []struct {
		Name    string
		Context struct{ Cluster, User, Namespace string }
	}
	Clusters []namedCluster
	Users    []namedUser
}

type namedCluster struct {
	Name    string
	Cluster cluster
}

type namedUser struct {
	Name string
	User user
}

type cluster struct {
	Server        string
	TLSServerName string `yaml:"tls-server-name"`
	Insecure      bool   `yaml:"insecure-skip-tls-verify"`
	CAFile        string `yaml:"certificate-authority"`
	CAData        string `yaml:"certificate-authority-data"`
	ProxyURL      string `yaml:"proxy-url"`
}

type user struct {
	CertFile  string `yaml:"client-certificate"`
	CertData  string `yaml:"client-certificate-data"`
	KeyFile   string `yaml:"client-key"`
	KeyData   string `yaml:"client-key-data"`
	Token     string
	TokenFile string              `yaml:"tokenFile"`
	As        string              `yaml:"as"`
	AsUID     string              `yaml:"as-uid"`
	AsGroups  []string            `yaml:"as-groups"`
	AsExtra   map[string][]string `yaml:"as-user-extra"`
	Username  string
	Password  string
	Exec      *execConfig
	Provider  *struct{ Name string } `yaml:"auth-provider"`
}

// maxKubeconfig bounds the file: it holds names and certificates.
const maxKubeconfig = 4 << 20

// ofFile reads the address of a kubeconfig and the file.
func ofFile(addr string) (target, error) {
	path, query, _ := strings.Cut(strings.TrimPrefix(addr, "kubeconfig:"), "?")
	if rest, ok := strings.CutPrefix(path, "//"); ok {
		if !strings.HasPrefix(rest, "/") {
			return target{}, fault.Markf(fault.Invalid, "address %q, want kubeconfig:/path: it has no host", conn.Redact(addr))
		}
		path = rest
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return target{}, fault.Markf(fault.Invalid, "malformed address %q", conn.Redact(addr))
	}
	known, err := parameters(addr, values, "namespace", "context")
	if err != nil {
		return target{}, err
	}
	files := []string{path}
	if path == "" {
		files, err = usual()
		if err != nil {
			return target{}, fault.Mark(fault.Invalid, err)
		}
	}
	k, err := load(files)
	if err != nil {
		return target{}, fault.Mark(fault.Invalid, err)
	}
	t, err := k.target(cmp.Or(known["context"], k.CurrentContext))
	if err != nil {
		return target{}, fault.Markf(fault.Invalid, "kubeconfig %s: %w", strings.Join(files, ", "), err)
	}
	t.namespace = cmp.Or(known["namespace"], t.namespace)
	return t, nil
}

// usual returns the files that kubectl reads.
func usual() ([]string, error) {
	if list := filepath.SplitList(os.Getenv("KUBECONFIG")); len(list) > 0 {
		return list, nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return nil, err
	}
	return []string{filepath.Join(home, ".kube", "config")}, nil
}

// load merges files as kubectl does: the first to say something is right. Of
// several, those that are not there are left out.
func load(files []string) (all kubeconfig, err error) {
	found := false
	for _, file := range files {
		k, err := read(file)
		if errors.Is(err, os.ErrNotExist) && len(files) > 1 {
			continue
		}
		if err != nil {
			return all, err
		}
		found = true
		all.CurrentContext = cmp.Or(all.CurrentContext, k.CurrentContext)
		all.Contexts = append(all.Contexts, k.Contexts...) // who looks takes the first
		all.Clusters = append(all.Clusters, k.Clusters...)
		all.Users = append(all.Users, k.Users...)
	}
	if !found {
		return all, fmt.Errorf("none of the kubeconfigs %s exists", strings.Join(files, ", "))
	}
	return all, nil
}

// read reads one file, whose relative paths are relative to it.
func read(file string) (k kubeconfig, err error) {
	info, err := os.Stat(file)
	if err != nil {
		return k, err
	}
	if info.Size() > maxKubeconfig {
		return k, fmt.Errorf("kubeconfig %s has %d bytes, at most %d are read", file, info.Size(), maxKubeconfig)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return k, err
	}
	defer func() { // the parser panics on some malformed input
		if recover() != nil {
			err = fmt.Errorf("kubeconfig %s is not YAML", file)
		}
	}()
	err = yaml.Unmarshal(text, &k)
	if err != nil {
		// The parser's own words may repeat a value, which may be a secret.
		return k, fmt.Errorf("kubeconfig %s is not YAML of a kubeconfig", file)
	}
	dir := filepath.Dir(file)
	for i := range k.Clusters {
		relative(dir, &k.Clusters[i].Cluster.CAFile)
	}
	for i := range k.Users {
		u := &k.Users[i].User
		relative(dir, &u.CertFile, &u.KeyFile, &u.TokenFile)
		if u.Exec != nil && strings.ContainsRune(u.Exec.Command, filepath.Separator) {
			relative(dir, &u.Exec.Command)
		}
	}
	return k, nil
}

func relative(dir string, paths ...*string) {
	for _, p := range paths {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(dir, *p)
		}
	}
}

// target resolves a context.
func (k kubeconfig) target(name string) (t target, err error) {
	if name == "" {
		return t, errors.New("it has no current-context, and none was chosen")
	}
	var names []string
	for _, c := range k.Contexts {
		if c.Name != name {
			names = append(names, c.Name)
			continue
		}
		t.namespace = c.Context.Namespace
		where, err := k.cluster(c.Context.Cluster)
		if err != nil {
			return t, fmt.Errorf("context %q: %w", name, err)
		}
		who, err := k.user(c.Context.User)
		if err != nil {
			return t, fmt.Errorf("context %q: %w", name, err)
		}
		err = t.place(where)
		if err == nil {
			err = t.identify(who, where)
		}
		return t, err
	}
	return t, fmt.Errorf("context %q: it has %s", name, strings.Join(names, ", "))
}

func (k kubeconfig) cluster(name string) (cluster, error) {
	for _, c := range k.Clusters {
		if c.Name == name {
			return c.Cluster, nil
		}
	}
	return cluster{}, fmt.Errorf("no cluster %q", name)
}

func (k kubeconfig) user(name string) (user, error) {
	if name == "" {
		return user{}, nil
	}
	for _, u := range k.Users {
		if u.Name == name {
			return u.User, nil
		}
	}
	return user{}, fmt.Errorf("no user %q", name)
}

// place says where the server is and whom to trust.
func (t *target) place(c cluster) error {
	u, err := url.Parse(c.Server)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || u.RawQuery != "" {
		return fmt.Errorf("server %q, want an https URL", conn.Redact(c.Server))
	}
	t.base = url.URL{Scheme: u.Scheme, Host: u.Host, Path: strings.TrimSuffix(u.Path, "/")}
	t.tls = &tls.Config{MinVersion: tls.VersionTLS12}
	ca, err := dataOrFile(c.CAData, c.CAFile)
	switch {
	case err != nil:
		return fmt.Errorf("certificate authority: %w", err)
	case c.Insecure && len(ca) > 0:
		return errors.New("a certificate authority and insecure-skip-tls-verify: only one of them can be meant")
	case c.Insecure:
		t.tls.InsecureSkipVerify = true
	case len(ca) > 0:
		t.tls, err = trusting(ca)
		if err != nil {
			return err
		}
	}
	t.tls.ServerName = c.TLSServerName
	if c.ProxyURL == "" {
		return nil
	}
	t.proxy, err = url.Parse(c.ProxyURL)
	if err != nil || t.proxy.Host == "" {
		return fmt.Errorf("proxy-url %q is none", conn.Redact(c.ProxyURL))
	}
	return nil
}

// identify says who asks.
func (t *target) identify(u user, c cluster) error {
	t.creds = noToken{}
	switch {
	case u.Provider != nil:
		return fmt.Errorf("auth-provider %q: Kubernetes 1.26 removed these; use exec", u.Provider.Name)
	case u.Username != "" || u.Password != "":
		return errors.New("username and password: Kubernetes 1.19 removed these; use a token or a certificate")
	case u.TokenFile != "":
		t.creds = &fileToken{path: u.TokenFile}
	case u.Token != "":
		if err := checkToken(u.Token); err != nil {
			return err
		}
		t.creds = fixedToken(u.Token)
	case u.Exec != nil:
		p, err := newPlugin(*u.Exec, c)
		if err != nil {
			return err
		}
		t.creds, t.tls.GetClientCertificate = p, p.certificate
	}
	switch {
	case len(u.AsExtra) > 0:
		return fault.Markf(fault.Invalid, "as-user-extra is not supported")
	case u.As == "" && (u.AsUID != "" || len(u.AsGroups) > 0):
		return fault.Markf(fault.Invalid, "as-uid and as-groups want as")
	}
	if u.As != "" {
		t.headers = http.Header{"Impersonate-User": {u.As}}
		if u.AsUID != "" {
			t.headers.Set("Impersonate-Uid", u.AsUID)
		}
		for _, g := range u.AsGroups {
			t.headers.Add("Impersonate-Group", g)
		}
	}
	return t.certify(u)
}

// certify sets the client certificate, which may be renewed if it is in files.
func (t *target) certify(u user) error {
	if u.CertFile == "" && u.CertData == "" {
		return nil
	}
	if u.CertData == "" && u.KeyData == "" {
		files := certFiles{u.CertFile, u.KeyFile}
		_, err := files.get(nil)
		t.tls.GetClientCertificate = files.get
		return err
	}
	cert, err := dataOrFile(u.CertData, u.CertFile)
	if err != nil {
		return fmt.Errorf("client certificate: %w", err)
	}
	key, err := dataOrFile(u.KeyData, u.KeyFile)
	if err != nil {
		return fmt.Errorf("client key: %w", err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return fmt.Errorf("client certificate: %w", err)
	}
	t.tls.Certificates = []tls.Certificate{pair}
	return nil
}

// dataOrFile returns what is in the file itself, else what it names; data wins.
func dataOrFile(data, file string) ([]byte, error) {
	if data != "" {
		b, err := base64.StdEncoding.DecodeString(data)
		if err != nil {
			return nil, errors.New("its data is not base64")
		}
		return b, nil
	}
	if file == "" {
		return nil, nil
	}
	return os.ReadFile(file)
}
