//! What rules of Sentinel for Java have in common.

use crate::rules::Fields;

/// Reads whether a server far away is asked for permits, which nobody does here.
pub(crate) fn read_cluster(fields: &mut Fields<'_>) {
    fields.skip(&["clusterConfig"]);
    if fields.boolean("clusterMode").unwrap_or(false) {
        fields.differs("clusterMode", "is for all instances together: here each has the whole count for itself");
    }
}
