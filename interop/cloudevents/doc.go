// Package cloudevents exchanges records with the CloudEvents SDK for Go over Kafka, in
// both directions and both modes of the Kafka Protocol Binding, in place of readers
// and writers that know only what ours do.
package cloudevents
