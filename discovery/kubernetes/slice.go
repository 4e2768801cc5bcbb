package kubernetes

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/micro/go-platform/discovery"
	conn "github.com/micro/go-platform/internal/conn/kubernetes"
)

// endpointSlice is what of such an object is read and written:
// https://kubernetes.io/docs/reference/kubernetes-api/service-resources/endpoint-slice-v1/.
type endpointSlice struct {
	conn.Meta   `json:"metadata"`
	AddressType string     `json:"addressType"`
	Endpoints   []endpoint `json:"endpoints"`
	Ports       []port     `json:"ports"`
}

func (s *endpointSlice) ObjectMeta() *conn.Meta { return &s.Meta }

type endpoint struct {
	Addresses  []string   `json:"addresses"`
	Conditions conditions `json:"conditions"`
	TargetRef  *struct {
		Kind string `json:"kind"`
		Name string `json:"name"`
	} `json:"targetRef,omitempty"`
	Zone string `json:"zone,omitempty"`
}

// conditions that are not said are as good: nil is true of ready and serving.
type conditions struct {
	Ready       *bool `json:"ready,omitempty"`
	Serving     *bool `json:"serving,omitempty"`
	Terminating *bool `json:"terminating,omitempty"`
}

type port struct {
	Name     string `json:"name"`
	Protocol string `json:"protocol,omitempty"`
	Port     int    `json:"port,omitempty"`
}

// metadata is an object of which only that is asked for.
type metadata struct {
	conn.Meta `json:"metadata"`
}

func (m *metadata) ObjectMeta() *conn.Meta { return &m.Meta }

var (
	endpointSlices = conn.Resource{Group: "discovery.k8s.io", Version: "v1", Kind: "EndpointSlice", Plural: "endpointslices"}
	pods           = conn.Resource{Version: "v1", Kind: "Pod", Plural: "pods", Bare: true}
	services       = conn.Resource{Version: "v1", Kind: "Service", Plural: "services", Bare: true}
)

// Labels and annotations. The first two are Kubernetes' own.
const (
	serviceLabel   = "kubernetes.io/service-name"
	managedByLabel = "endpointslice.kubernetes.io/managed-by"
	manager        = "go-platform"
	entryNote      = "go-platform/instance"  // the Entry as JSON
	heartbeatNote  = "go-platform/heartbeat" // when its owner was alive, by the owner's clock
	versionLabel   = "app.kubernetes.io/version"
)

// labelOf returns what the slices of a service carry in serviceLabel: its name,
// or for a name that no label can have its hash.
func labelOf(service string) string {
	if labelValue(service) {
		return service
	}
	return manager + "-" + digest(service)
}

// labelValue reports whether s can be a label's value.
func labelValue(s string) bool {
	if len(s) == 0 || len(s) > 63 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && (i == 0 || i == len(s)-1 || c != '-' && c != '_' && c != '.') {
			return false
		}
	}
	return true
}

func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:12])
}

// base returns a service's name without the discovery namespace.
func base(service string) string { return service[strings.IndexByte(service, '/')+1:] }

// sliceName returns the name of an instance's own slice.
func sliceName(service, id string) string {
	var b strings.Builder
	for i := range min(len(service), 40) {
		c := service[i]
		switch {
		case c >= 'a' && c <= 'z' || c >= '0' && c <= '9':
			b.WriteByte(c)
		case c >= 'A' && c <= 'Z':
			b.WriteByte(c + 'a' - 'A')
		default:
			b.WriteByte('-')
		}
	}
	return strings.Trim("p-"+b.String(), "-") + "-" + digest(service+"\x00"+id)
}

// render makes the slice of an instance. Others see what a slice can say; that is
// nothing of an address which no endpoint may have, as 127.0.0.1.
func render(e discovery.Entry) (*endpointSlice, error) {
	text, err := json.Marshal(e)
	if err != nil {
		return nil, err
	}
	host, number, err := net.SplitHostPort(e.Address)
	if err != nil {
		return nil, err
	}
	n, err := strconv.Atoi(number)
	if err != nil {
		return nil, err
	}
	service := base(e.Service)
	s := &endpointSlice{
		Meta: conn.Meta{
			Name:        sliceName(service, e.ID),
			Labels:      map[string]string{serviceLabel: labelOf(service), managedByLabel: manager},
			Annotations: map[string]string{entryNote: string(text), heartbeatNote: beat()},
		},
		Ports:     []port{{Protocol: "TCP", Port: n}},
		Endpoints: []endpoint{},
	}
	kind, ok := addressType(host)
	s.AddressType = kind
	if !ok {
		return s, nil
	}
	up, draining := e.Status == discovery.Up, e.Status == discovery.Draining
	p := endpoint{Addresses: []string{host}, Conditions: conditions{Ready: new(up), Serving: new(up || draining), Terminating: new(draining)}}
	if labelValue(e.Zone) {
		p.Zone = e.Zone
	}
	s.Endpoints = append(s.Endpoints, p)
	return s, nil
}

func beat() string { return time.Now().UTC().Format(time.RFC3339Nano) }

// addressType returns what a host is to a slice, and whether it may be in one.
func addressType(host string) (kind string, ok bool) {
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return "FQDN", strings.Contains(host, ".") && conn.ValidName(host) == nil
	}
	ok = ip.Zone() == "" && !ip.Is4In6() && ip.String() == host && !ip.IsUnspecified() && !ip.IsLoopback() && !ip.IsLinkLocalUnicast() && !ip.IsMulticast()
	if ip.Is4() {
		return "IPv4", ok
	}
	return "IPv6", ok
}

// entryOf returns the instance that this package wrote into a slice.
func entryOf(s *endpointSlice) (discovery.Entry, bool) {
	var e discovery.Entry
	if s.Labels[managedByLabel] != manager {
		return e, false
	}
	err := json.Unmarshal([]byte(s.Annotations[entryNote]), &e)
	return e, err == nil && e.ID != "" && e.Owner != ""
}

// portOf returns the port of a name; "" is the first that a connection can go to.
func (s *endpointSlice) portOf(name string) (int, bool) {
	for _, p := range s.Ports {
		if p.Port > 0 && (name == p.Name || name == "" && (p.Protocol == "" || p.Protocol == "TCP")) {
			return p.Port, true
		}
	}
	return 0, false
}

// instances returns what Kubernetes says of a slice's endpoints.
func (s *endpointSlice) instances(portName string) (all []discovery.Instance) {
	n, ok := s.portOf(portName)
	if !ok {
		return nil
	}
	for _, p := range s.Endpoints {
		if id := p.id(); id != "" {
			all = append(all, discovery.Instance{ID: id, Address: net.JoinHostPort(p.Addresses[0], strconv.Itoa(n)), Zone: p.Zone, Status: p.Conditions.status()})
		}
	}
	return all
}

// id returns the name of the pod, else the address; "" of an endpoint without one.
func (p endpoint) id() string {
	switch {
	case len(p.Addresses) == 0:
		return ""
	case p.TargetRef != nil && p.TargetRef.Kind == "Pod" && p.TargetRef.Name != "":
		return p.TargetRef.Name
	}
	return p.Addresses[0]
}

// status reads the conditions: an endpoint that terminates and serves still is
// draining; one that is not ready otherwise is not yet, or for the time, usable.
func (c conditions) status() discovery.Status {
	not := func(b *bool) bool { return b != nil && !*b }
	terminating := c.Terminating != nil && *c.Terminating
	switch {
	case terminating && !not(c.Serving):
		return discovery.Draining
	case terminating:
		return discovery.Down
	case not(c.Ready):
		return discovery.Starting
	}
	return discovery.Up
}
