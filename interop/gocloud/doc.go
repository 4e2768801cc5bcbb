// Package gocloud runs Go CDK's suites for docstore and runtimevar on the
// backends of db and the sources of config, through adapters to their interfaces.
// What an adapter has to add is said in it, with the reason.
package gocloud
