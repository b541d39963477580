//! Who may call what, as the contracts state it.

use std::collections::{BTreeSet, HashMap};
use std::sync::LazyLock;

use anyhow::{Context as _, anyhow, bail};
use prost_reflect::{DescriptorPool, DynamicMessage, ExtensionDescriptor, MethodDescriptor, Value};
use quartet_proto::options::v1::Level;

/// What an rpc asks of its caller, and how it is called.
#[derive(Debug, Clone)]
pub struct Rule {
    pub access: Access,
    pub client_streaming: bool,
    pub server_streaming: bool,
}

/// What an rpc asks of its caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    Public,
    Optional,
    Account,
    Roles(Vec<String>),
    Service,
    Operator,
}

impl Rule {
    pub fn is_unary(&self) -> bool {
        !self.client_streaming && !self.server_streaming
    }
}

static RULES: LazyLock<Result<HashMap<String, Rule>, String>> =
    LazyLock::new(|| read(quartet_proto::DESCRIPTORS).map_err(|error| format!("{error:#}")));

/// The rule of every `quartet.*` rpc by its path, `/quartet.identity.v1.SessionService/SignIn`. Fails when an rpc has none.
pub fn rules() -> anyhow::Result<&'static HashMap<String, Rule>> {
    RULES.as_ref().map_err(|error| anyhow!("the contracts' access rules: {error}"))
}

/// The contexts that have rpcs for callers from outside, in alphabetical order: `catalogue`, `identity`.
pub fn contexts() -> Vec<&'static str> {
    let Ok(rules) = &*RULES else { return Vec::new() };
    let names = rules.keys().filter_map(|path| path.split('.').nth(1)).filter(|name| *name != "control");
    names.collect::<BTreeSet<_>>().into_iter().collect()
}

fn read(descriptors: &[u8]) -> anyhow::Result<HashMap<String, Rule>> {
    let pool = DescriptorPool::decode(descriptors)?;
    let option = pool.get_extension_by_name("quartet.options.v1.access").context("no access option")?;
    let mut rules = HashMap::new();
    for service in pool.services().filter(|service| service.package_name().starts_with("quartet.")) {
        for method in service.methods() {
            let access = access(&method, &option).with_context(|| format!("`{}`", method.full_name()))?;
            let rule = Rule {
                access,
                client_streaming: method.is_client_streaming(),
                server_streaming: method.is_server_streaming(),
            };
            rules.insert(format!("/{}/{}", service.full_name(), method.name()), rule);
        }
    }
    Ok(rules)
}

fn access(method: &MethodDescriptor, option: &ExtensionDescriptor) -> anyhow::Result<Access> {
    let options = method.options();
    if !options.has_extension(option) {
        bail!("has no access rule");
    }
    let stated = options.get_extension(option);
    let stated = stated.as_message().context("is not a message")?;
    let roles = strings(stated, "roles");
    let level = stated.get_field_by_name("level").and_then(|level| level.as_enum_number()).unwrap_or_default();
    match Level::try_from(level) {
        Ok(Level::Public) => Ok(Access::Public),
        Ok(Level::Optional) => Ok(Access::Optional),
        Ok(Level::Account) => Ok(Access::Account),
        Ok(Level::Roles) if !roles.is_empty() => Ok(Access::Roles(roles)),
        Ok(Level::Service) => Ok(Access::Service),
        Ok(Level::Operator) => Ok(Access::Operator),
        _ => bail!("states no level, or roles without any"),
    }
}

fn strings(message: &DynamicMessage, field: &str) -> Vec<String> {
    let Some(value) = message.get_field_by_name(field) else { return Vec::new() };
    let list = value.as_list().unwrap_or_default();
    list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}
