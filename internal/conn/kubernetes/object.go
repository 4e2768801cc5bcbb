package kubernetes

import (
	"net/url"
	"strings"
	"time"
)

// Meta is what all objects have, as far as it is used here. Embed it with the
// tag `json:"metadata"`.
type Meta struct {
	Name            string            `json:"name,omitempty"`
	GenerateName    string            `json:"generateName,omitempty"`
	Namespace       string            `json:"namespace,omitempty"`
	UID             string            `json:"uid,omitempty"`
	ResourceVersion string            `json:"resourceVersion,omitempty"`
	Created         *time.Time        `json:"creationTimestamp,omitempty"`
	Deleted         *time.Time        `json:"deletionTimestamp,omitempty"`
	Labels          map[string]string `json:"labels,omitempty"`
	Annotations     map[string]string `json:"annotations,omitempty"`
	Owners          []Owner           `json:"ownerReferences,omitempty"`
}

// Owner is what an object belongs to.
type Owner struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Name       string `json:"name"`
	UID        string `json:"uid"`
}

// Object is a pointer to a struct that has a Meta.
type Object[T any] interface {
	*T
	ObjectMeta() *Meta
}

// Resource is a collection of objects.
type Resource struct {
	Group     string // "" is the core group
	Version   string
	Kind      string // of one of them
	Plural    string // in paths
	Namespace string // "" is all namespaces, or none for resources of the cluster
	Bare      bool   // List and Follow ask for the metadata alone
}

// In returns the same resource of a namespace.
func (r Resource) In(namespace string) Resource { r.Namespace = namespace; return r }

// APIVersion returns group and version as objects name them.
func (r Resource) APIVersion() string {
	if r.Group == "" {
		return r.Version
	}
	return r.Group + "/" + r.Version
}

// path returns where the collection is, or one of its objects.
func (r Resource) path(name string) string {
	var b strings.Builder
	if r.Group == "" {
		b.WriteString("/api/" + r.Version)
	} else {
		b.WriteString("/apis/" + r.Group + "/" + r.Version)
	}
	if r.Namespace != "" {
		b.WriteString("/namespaces/" + r.Namespace)
	}
	b.WriteString("/" + r.Plural)
	if name != "" {
		b.WriteString("/" + url.PathEscape(name))
	}
	return b.String()
}

// accept returns in which form a collection is asked for.
func (r Resource) accept(bare string) string {
	if !r.Bare {
		return ""
	}
	return "application/json;as=" + bare + ";g=meta.k8s.io;v=v1"
}

// Selector narrows a collection. The zero value is all of it.
type Selector struct {
	Labels string // "app=greeter,tier!=cache"
	Fields string // "metadata.name=settings"
}

func (s Selector) query() url.Values {
	q := url.Values{}
	if s.Labels != "" {
		q.Set("labelSelector", s.Labels)
	}
	if s.Fields != "" {
		q.Set("fieldSelector", s.Fields)
	}
	return q
}

// Named selects one object.
func Named(name string) Selector { return Selector{Fields: "metadata.name=" + name} }
