//! Quartet's contracts: the messages, clients and servers generated from `quartet/**/*.proto`, and their descriptors.
#![doc = include_str!("../README.md")]
#![expect(clippy::allow_attributes, reason = "the generated code allows what it pleases")]

pub mod identity {
    pub mod v1 {
        tonic::include_proto!("quartet.identity.v1");
    }
}

pub mod catalogue {
    #[expect(clippy::large_enum_variant, reason = "a change of a movie has the movie in it; they come one at a time")]
    pub mod v1 {
        tonic::include_proto!("quartet.catalogue.v1");
    }
}

pub mod media {
    #[expect(clippy::large_enum_variant, reason = "a download's header comes once, and bytes are not copied for it")]
    pub mod v1 {
        tonic::include_proto!("quartet.media.v1");
    }
}

pub mod messaging {
    pub mod v1 {
        tonic::include_proto!("quartet.messaging.v1");
    }
}

pub mod control {
    pub mod v1 {
        tonic::include_proto!("quartet.control.v1");
    }
}

pub mod options {
    pub mod v1 {
        tonic::include_proto!("quartet.options.v1");
    }
}

pub mod r#type {
    pub mod v1 {
        tonic::include_proto!("quartet.r#type.v1");
    }
}

/// Every contract as an encoded `FileDescriptorSet`, with imports, comments and the access options.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/quartet.descriptors"));
